package phrase_test

import (
	"fmt"
	"testing"
)

func TestList(t *testing.T) {
	tr := readTree(t)
	for k, v := range tr.tellers {
		fmt.Println("TELLER", k, v)
	}
	for _, x := range tr.texts() {
		fmt.Printf("%v\t%s\t%q\n", x.op, x.at, x.format)
	}
}
