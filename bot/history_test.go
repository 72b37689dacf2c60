package bot

import (
	"fmt"
	"strings"
	"testing"

	"ipublish/deploy"
)

// counting counts the deploys that are read for lists.
type counting struct {
	*memory
	read int
}

func (c *counting) History(t *deploy.Target, before deploy.ID, limit int) ([]deploy.State, error) {
	all, err := c.memory.History(t, before, limit)
	c.read += len(all)
	return all, err
}

// past asks for the history of environments, and tells the numbers and how many
// deploys were read.
func past(t *testing.T, m *memory, limit int, targets ...deploy.Target) (ids string, read int) {
	t.Helper()
	h, c := newHandler(m), &counting{memory: m}
	h.Records = c
	all, err := h.past(targets, limit)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range all {
		out = append(out, s.ID.String())
	}
	return strings.Join(out, " "), c.read
}

func TestTheHistoryOfAllReadsNoMoreThanItShows(t *testing.T) {
	m := newMemory()
	for i, target := range []deploy.Target{shopProd, shopStag, apiProd, shopStag, shopProd, apiProd} {
		submitted(t, m, target, fmt.Sprint(i)).ended(deploy.Superseded)
	}
	if ids, read := past(t, m, 3, shopProd, shopStag, apiProd); ids != "#6 #5 #4" || read != 3 {
		t.Errorf("got %s of %d", ids, read)
	}
	if ids, read := past(t, m, 3, shopProd, shopStag); ids != "#5 #4 #2" || read != 6 {
		t.Errorf("got %s of %d", ids, read)
	}
	if ids, _ := past(t, m, 50, shopProd, apiProd); ids != "#6 #5 #3 #1" {
		t.Errorf("got %s", ids)
	}
}

func TestTheHistoryOfAFewIsFoundBelowAllTheOthers(t *testing.T) {
	m := newMemory()
	submitted(t, m, shopStag, "a").ended(deploy.Superseded)
	submitted(t, m, shopProd, "b").ended(deploy.Superseded)
	for i := range 40 {
		submitted(t, m, apiProd, fmt.Sprint(i)).ended(deploy.Superseded)
	}
	if ids, read := past(t, m, 3, shopProd, shopStag); ids != "#2 #1" || read > 2*3+2 {
		t.Errorf("got %s of %d", ids, read)
	}
}
