package drivertest

import (
	"testing"

	"ipublish/deployer"
)

// Host checks the contract of deployer.Host. open returns a fresh host, which
// has to see the files and the loopback ports of the machine that runs the test,
// and arranges for its own end.
func Host(t *testing.T, open func(t *testing.T) deployer.Host) {
	cases := []struct {
		name  string
		check func(*testing.T, deployer.Host)
	}{
		{"run returns standard output", hostRunsOutput},
		{"run hands on every argument unchanged", hostRunsArguments},
		{"run passes standard input", hostRunsInput},
		{"run without input gives an empty one", hostRunsNoInput},
		{"a program that does not read its input succeeds", hostRunsUnreadInput},
		{"an exit status other than 0 is a failure with the end of standard error", hostRunsFailure},
		{"a program ended by a signal is a failure without a status", hostRunsSignalled},
		{"a program that does not exist is a failure", hostRunsMissing},
		{"standard output is kept up to 8 MiB", hostRunsMuch},
		{"an argv that no host can run is refused", hostRunsInvalid},
		{"an input that breaks is told", hostRunsBrokenInput},
		{"twenty runs at once all end", hostRunsParallel},
		{"a cancelled run returns promptly", hostRunsCancelled},
		{"a run beyond its deadline returns promptly", hostRunsTooLong},
		{"a call with an ended context does nothing", hostEndedContext},
		{"put makes the file, its folder and its mode", hostPutsFile},
		{"put twice is put once", hostPutsTwice},
		{"put takes any content and any name", hostPutsAnything},
		{"put carries 5 MB unchanged", hostPutsMuch},
		{"put replaces a file at once", hostPutsAtomically},
		{"put half-way leaves the old file and nothing else", hostPutsHalf},
		{"a cancelled put leaves the old file and nothing else", hostPutsCancelled},
		{"put does not replace a folder", hostPutsFolder},
		{"put where nothing can be written is a failure", hostPutsNowhere},
		{"put refuses paths that name no file", hostPutsInvalid},
		{"dial reaches a tcp port", hostDialsTCP},
		{"dial reaches a unix socket", hostDialsUnix},
		{"a dialled connection keeps deadlines and ends with Close", hostDialsDeadlines},
		{"dial where nothing listens is unavailable", hostDialsNobody},
		{"dial of an unknown network is refused", hostDialsInvalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.check(t, open(t)) })
	}
}
