// Runs before the first paint, so that a chosen theme never flashes up as the other one.
try {
  const addressed = new URLSearchParams(location.search).get('theme');
  const known = ['system', 'light', 'dark'].includes(addressed);
  const theme = known ? addressed : localStorage.getItem('pushsvc.theme');
  if (theme === 'light' || theme === 'dark') {
    document.documentElement.dataset.theme = theme;
  }
} catch {
  // Without storage there is no choice to follow.
}
