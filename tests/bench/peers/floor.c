/* The floor: what a frame costs when there is nothing but the kernel.
 *
 * Usage: floor WEBSOCKET_HEAD STREAM_HEAD. Listens on a free loopback port and prints its URL.
 * Whoever sends a GET is answered with one of the heads and is a subscriber from then on. Whoever
 * sends PUBLISH and a line feed publishes: a length of four bytes, big-endian, and as many bytes,
 * which are sent to every subscriber, again and again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536
#define FRAME (4 * 1024 * 1024)

enum kind { NEWCOMER, SUBSCRIBER, PUBLISHER };

static enum kind kinds[MOST];
static int subscribers[MOST], count;
static unsigned char pending[FRAME];
static size_t held;

static void die(const char *what) { perror(what); exit(1); }

static void leave(int fd) {
    for (int i = 0; i < count; i++)
        if (subscribers[i] == fd) subscribers[i--] = subscribers[--count];
    kinds[fd] = NEWCOMER;
    close(fd);
}

static void send_all(const unsigned char *frame, size_t size) {
    for (int i = 0; i < count; i++) {
        ssize_t sent = send(subscribers[i], frame, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent != (ssize_t)size && errno != EPIPE && errno != ECONNRESET) die("send");
    }
}

static void publish(const unsigned char *data, size_t size) {
    if (held + size > FRAME) { fprintf(stderr, "too much at once\n"); exit(1); }
    memcpy(pending + held, data, size);
    held += size;
    size_t at = 0;
    while (held - at >= 4) {
        uint32_t length;
        memcpy(&length, pending + at, 4);
        length = ntohl(length);
        if (held - at - 4 < length) break;
        send_all(pending + at + 4, length);
        at += 4 + length;
    }
    memmove(pending, pending + at, held -= at);
}

int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "usage: floor WEBSOCKET_HEAD STREAM_HEAD\n"); return 2; }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    if (bind(listener, (struct sockaddr *)&where, size) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&where, &size);
    printf("http://127.0.0.1:%d\n", ntohs(where.sin_port));
    fflush(stdout);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client;
                while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    if (client >= MOST) { close(client); continue; }
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    event.events = EPOLLIN;
                    event.data.fd = client;
                    epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
                }
                continue;
            }
            unsigned char data[65536];
            ssize_t got = recv(fd, data, sizeof data - 1, 0);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) { leave(fd); continue; }
            if (kinds[fd] == PUBLISHER) {
                publish(data, got);
            } else if (kinds[fd] == NEWCOMER && !memcmp(data, "GET ", 4)) {
                data[got] = 0;
                const char *head = strstr((char *)data, "Upgrade:") ? argv[1] : argv[2];
                kinds[fd] = SUBSCRIBER;
                subscribers[count++] = fd;
                if (send(fd, head, strlen(head), MSG_NOSIGNAL) < 0) leave(fd);
            } else if (kinds[fd] == NEWCOMER && !memcmp(data, "PUBLISH\n", 8)) {
                kinds[fd] = PUBLISHER;
                publish(data + 8, got - 8);
            }
        }
    }
}
