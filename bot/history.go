package bot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// history shows the newest deploys of the environments in question.
func (h *Handler) history(p Parsed) (Answer, error) {
	all, err := h.past(p.Targets, p.Limit)
	if untold(err) != nil {
		return Answer{}, err
	}
	lines := historyLines(all)
	if err != nil {
		lines = append(lines, damagedLine)
	}
	return Answer{Text: strings.Join(lines, "\n")}, nil
}

// past lists the newest deploys of some environments. What is shown is most often
// among the newest of all, so these are read first; at most as many as asking each
// environment reads, which is then left to do.
func (h *Handler) past(targets []deploy.Target, limit int) (shown []deploy.State, unread error) {
	if len(targets) == 1 {
		return h.Records.History(&targets[0], 0, limit)
	}
	var before deploy.ID
	for range targets {
		page, err := h.Records.History(nil, before, limit)
		if untold(err) != nil {
			return nil, err
		}
		unread = errors.Join(unread, err)
		for _, s := range page {
			if slices.Contains(targets, s.Target) {
				shown = append(shown, s)
			}
		}
		if len(shown) >= limit || len(page) < limit {
			return shown[:min(len(shown), limit)], unread
		}
		before = page[len(page)-1].ID
	}
	return h.pastOfEach(targets, limit)
}

// pastOfEach lists the same by reading what could be shown of each environment.
func (h *Handler) pastOfEach(targets []deploy.Target, limit int) (shown []deploy.State, unread error) {
	for i := range targets {
		part, err := h.Records.History(&targets[i], 0, limit)
		if untold(err) != nil {
			return nil, err
		}
		shown, unread = append(shown, part...), errors.Join(unread, err)
	}
	slices.SortFunc(shown, func(a, b deploy.State) int { return cmp.Compare(b.ID, a.ID) })
	return shown[:min(len(shown), limit)], unread
}

func historyLines(all []deploy.State) []string {
	if len(all) == 0 {
		return []string{"there was no deploy yet"}
	}
	var lines []string
	for _, s := range all {
		lines = append(lines, pastLine(s))
	}
	return lines
}

// pastLine is one line of history.
func pastLine(s deploy.State) string {
	took := ""
	if s.Ended() && !s.Claimed.IsZero() {
		took = ", took " + s.Last.Sub(s.Claimed).Round(time.Second).String()
	}
	how := string(s.Phase)
	switch {
	case s.Request.Instant() && s.Ending == deploy.Succeeded:
		how = deploy.Describe(s).Status
	case s.Ended():
		how = string(s.Ending)
	}
	return fmt.Sprintf("%s · %s · %s%s · %s", clock(requestedAt(s)), s.Target, how, took, wishText(s))
}

func requestedAt(s deploy.State) time.Time {
	if s.Request.At.IsZero() {
		return s.Last
	}
	return s.Request.At
}
