package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"ipublish/deploy"
)

// route says who receives what arrives at Listen. It is the form on the control
// socket and on disk.
type route struct {
	Name       string   `json:"name"`                 // deploy.Target's text: "shop/production"
	Listen     string   `json:"listen"`               // host:port
	Up         []string `json:"up"`                   // receive requests; sorted, never empty
	Spare      []string `json:"spare,omitempty"`      // may receive a request whose connect to every Up was refused; sorted
	Generation uint64   `json:"generation,omitempty"` // given by the proxy: counts the changes of this route
}

// status is a route with what the proxy knows about it.
type status struct {
	route
	Listening bool                     `json:"listening"` // Listen is open
	Addresses map[string]addressStatus `json:"addresses"` // every address that the route ever had since the proxy's start
}

// addressStatus is what happened at one address since the proxy's start; a
// successor goes on counting where its predecessor ended.
type addressStatus struct {
	InFlight int `json:"in_flight"`
	deploy.Counter
	Refused uint64 `json:"refused,omitempty"` // connects: such a request went on to another address, if there was one
	Cut     cut    `json:"cut,omitzero"`
}

// cut is what a drain closed in the end.
type cut struct {
	Tunnels int             `json:"tunnels,omitempty"` // WebSockets
	Streams int             `json:"streams,omitempty"` // answers of which nobody said how long they are
	After   deploy.Duration `json:"after,omitempty"`   // they had this long since the address left the table
}

// plus adds what another process of the same proxy saw.
func (a addressStatus) plus(b addressStatus) addressStatus {
	a.InFlight += b.InFlight
	a.Requests += b.Requests
	a.Failures += b.Failures
	a.Errors5 += b.Errors5
	a.Latency = a.Latency.Plus(b.Latency)
	a.Refused += b.Refused
	a.Cut.Tunnels += b.Cut.Tunnels
	a.Cut.Streams += b.Cut.Streams
	a.Cut.After = max(a.Cut.After, b.Cut.After)
	return a
}

// order is a route to be put in force.
type order struct {
	route
	turn  uint64
	drain *time.Duration // for tunnels and streams to addresses that left; nil: for ever
}

// normal returns the route with sorted addresses, each once.
func (r route) normal() route {
	r.Up = slices.Compact(slices.Sorted(slices.Values(r.Up)))
	r.Spare = slices.Compact(slices.Sorted(slices.Values(r.Spare)))
	return r
}

// same reports whether both send the same to the same; generations do not count.
func (r route) same(o route) bool {
	return r.Name == o.Name && r.Listen == o.Listen && slices.Equal(r.Up, o.Up) && slices.Equal(r.Spare, o.Spare)
}

// check says what is wrong with the route: deploy.CodeRefused when nothing is
// up, deploy.CodeInvalid for all else, or nil.
func (r route) check() error {
	if _, err := deploy.ParseTarget(r.Name); err != nil {
		return r.invalid("the route's name %v", err)
	}
	if err := checkAddress(r.Listen); err != nil {
		return r.invalid("listen %q %v; write it like 0.0.0.0:8000", r.Listen, err)
	}
	if len(r.Up) == 0 {
		return &deploy.Error{Code: deploy.CodeRefused, Op: "route", Subject: r.Name,
			Message: "a route needs at least one address that is up: with none nobody would be answered"}
	}
	for _, a := range slices.Concat(r.Up, r.Spare) {
		if err := r.checkTarget(a); err != nil {
			return err
		}
	}
	for _, a := range r.Spare {
		if slices.Contains(r.Up, a) {
			return r.invalid("%s is named as up and as spare; name it once", a)
		}
	}
	return nil
}

func (r route) checkTarget(a string) error {
	if host, _, _ := net.SplitHostPort(a); host == "" {
		return r.invalid("address %q has no host; write it like 127.0.0.1:8080", a)
	}
	if err := checkAddress(a); err != nil {
		return r.invalid("address %q %v; write it like 127.0.0.1:8080", a, err)
	}
	if a == r.Listen {
		return r.invalid("%s is the proxy's own listen address: requests would go round in circles", a)
	}
	return nil
}

func (r route) invalid(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "route", Subject: r.Name, Message: fmt.Sprintf(format, args...)}
}

func checkAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return errors.New("is not host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("has no port between 1 and 65535")
	}
	return nil
}

// decodeStrict decodes exactly one JSON value without unknown fields.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}
