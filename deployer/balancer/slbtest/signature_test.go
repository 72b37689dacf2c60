package slbtest

import (
	"net/url"
	"testing"
)

// The example of the page "Request signatures".
func TestTheFakeSignsThePagesExampleAsThePageDoes(t *testing.T) {
	p := url.Values{}
	for name, value := range map[string]string{
		"AccessKeyId": "testid", "Action": "DescribeRegions", "Format": "XML", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
		"SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf", "Timestamp": "2016-02-23T12:46:24Z", "Version": "2014-05-26", "Signature": "is left out",
	} {
		p.Set(name, value)
	}
	if got := sign("testsecret", stringToSign("GET", p)); got != "OLeaidS1JvxuMvnyHOwuJ+uX5qY=" {
		t.Errorf("signature %s", got)
	}
}

func TestTheFakeWritesEveryOtherByteInPercent(t *testing.T) {
	if got := encode("a b+c*~-_./é"); got != "a%20b%2Bc%2A~-_.%2F%C3%A9" {
		t.Error(got)
	}
}
