package statusfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

const (
	defaultText  = "ok\n"
	contentLimit = 4 << 10
	thresholdMax = 1000      // with durationMax, what no product of the two overflows
	durationMax  = time.Hour // of an interval or a timeout
	askLimit     = 5 * time.Second
)

// settings is the section balancer.statusfile of the configuration.
type settings struct {
	Path               string          `json:"path"`
	URL                string          `json:"url"`
	Content            *string         `json:"content"`
	ExpectStatus       []int           `json:"expect_status"`
	CheckInterval      deploy.Duration `json:"check_interval"`
	CheckTimeout       deploy.Duration `json:"check_timeout"`
	HealthyThreshold   int             `json:"healthy_threshold"`
	UnhealthyThreshold int             `json:"unhealthy_threshold"`
	Margin             *string         `json:"margin"` // a text: a negative one is refused with the arithmetic
	Observe            struct {
		HAProxy *observing `json:"haproxy"`
	} `json:"observe"`

	margin time.Duration
}

// readSettings decodes strictly, judges every value and fills in the defaults.
func readSettings(raw json.RawMessage) (settings, error) {
	var s settings
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, invalid("%s (the keys of balancer.statusfile are path, url, content, expect_status, check_interval, check_timeout, healthy_threshold, unhealthy_threshold, margin and observe)",
			strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := s.at(sample); err != nil {
		return s, err
	}
	if err := firstError(s.checkContent(), s.checkStatuses(), s.checkObserve(), s.checkTimes(), s.checkThresholds(), s.readMargin()); err != nil {
		return s, err
	}
	s.fillIn()
	return s, nil
}

func (s *settings) fillIn() {
	if s.Content == nil {
		text := defaultText
		s.Content = &text
	}
	if len(s.ExpectStatus) == 0 {
		s.ExpectStatus = []int{200}
	}
	if s.CheckTimeout == 0 {
		s.CheckTimeout = deploy.Duration(askLimit)
	}
}

// computed: the waits are computed, because no balancer is asked.
func (s *settings) computed() bool { return s.Observe.HAProxy == nil }

func (s *settings) checkContent() error {
	if s.Content == nil {
		return nil
	}
	if len(*s.Content) > contentLimit || strings.ContainsRune(*s.Content, 0) {
		return invalid("content: give a short text, at most %d bytes without a NUL", contentLimit)
	}
	return nil
}

func (s *settings) checkStatuses() error {
	if i := slices.IndexFunc(s.ExpectStatus, func(n int) bool { return n < 200 || n > 599 }); i >= 0 {
		return invalid("expect_status %d: list the HTTP statuses that the balancer takes for healthy, such as [200]", s.ExpectStatus[i])
	}
	return nil
}

func (s *settings) checkObserve() error {
	if s.Observe.HAProxy == nil {
		return nil
	}
	return s.Observe.HAProxy.check()
}

func (s *settings) checkTimes() error {
	for _, c := range []struct {
		key   string
		value time.Duration
		means string
	}{
		{"check_interval", s.CheckInterval.D(), "the time between two checks"},
		{"check_timeout", s.CheckTimeout.D(), "the time after which a check without an answer has failed"},
	} {
		if c.value == 0 && s.computed() {
			return invalid("%s is missing: give %s as the balancer has it, such as 2s. Nothing is assumed here: a wait that is too short would stop a host that still gets requests",
				c.key, c.means)
		}
		if c.value > durationMax {
			return invalid("%s %s is longer than any balancer's: give at most %s", c.key, c.value, durationMax)
		}
	}
	return nil
}

func (s *settings) checkThresholds() error {
	for _, c := range []struct {
		key   string
		value int
		means string
	}{
		{"healthy_threshold", s.HealthyThreshold, "how many checks in a row must pass until the balancer takes a host in"},
		{"unhealthy_threshold", s.UnhealthyThreshold, "how many checks in a row must fail until the balancer takes a host out"},
	} {
		if c.value == 0 && !s.computed() {
			continue
		}
		if c.value < 1 || c.value > thresholdMax {
			return invalid("%s %d: give %s, a number from 1 to %d", c.key, c.value, c.means, thresholdMax)
		}
	}
	return nil
}

// readMargin refuses a wait that is shorter than what the balancer itself takes.
func (s *settings) readMargin() error {
	if s.Margin == nil {
		s.margin = s.CheckInterval.D()
		return nil
	}
	d, err := time.ParseDuration(*s.Margin)
	if err != nil || d > durationMax {
		return invalid("margin %q: give a duration with a unit, such as 2s, at most %s", *s.Margin, durationMax)
	}
	s.margin = d
	if d < 0 {
		least := s.CheckInterval.D() * time.Duration(s.UnhealthyThreshold)
		return invalid("margin %s: the wait would be check_interval %s × unhealthy_threshold %d %s = %s, shorter than the %s that the balancer itself needs to notice; give 0s or more",
			d, s.CheckInterval, s.UnhealthyThreshold, d, least+d, least)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "configure", Subject: "balancer statusfile", Message: fmt.Sprintf(format, args...)}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
