// The hub of Mercure as its library gives it, by itself on a port: the arguments are the address and
// the key that publishers sign with. Updates go through memory, and no past is kept.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/dunglas/mercure"
)

func main() {
	hub, err := mercure.NewHub(
		context.Background(),
		mercure.WithAnonymous(),
		mercure.WithPublisherJWT([]byte(os.Args[2]), "HS256"),
	)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/.well-known/mercure", hub)
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
