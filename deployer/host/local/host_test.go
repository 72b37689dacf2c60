package local_test

import (
	"encoding/json"
	"testing"

	"ipublish/deployer"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
)

func open(t *testing.T, settings string) deployer.Host {
	t.Helper()
	h, err := local.New(json.RawMessage(settings))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTheLocalHostKeepsTheContractOfHosts(t *testing.T) {
	drivertest.Host(t, func(t *testing.T) deployer.Host { return open(t, "") })
}

func TestTheLocalHostKeepsTheContractWithAPrefix(t *testing.T) {
	drivertest.Host(t, func(t *testing.T) deployer.Host { return open(t, `{"become": ["env", "-u", "NOTHING"]}`) })
}
