package slb

import "testing"

// The first is the example of the page "Request signatures", the second that of
// the short message service's, which has characters beyond ASCII.
func TestTheSignatureIsThatOfTheDocumentedExamples(t *testing.T) {
	for want, c := range map[string]struct {
		secret string
		params map[string]string
	}{
		"OLeaidS1JvxuMvnyHOwuJ+uX5qY=": {"testsecret", map[string]string{
			"AccessKeyId": "testid", "Action": "DescribeRegions", "Format": "XML", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
			"SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf", "Timestamp": "2016-02-23T12:46:24Z", "Version": "2014-05-26",
		}},
		"zJDF+Lrzhj/ThnlvIToysFRq6t4=": {"testSecret", map[string]string{
			"AccessKeyId": "testId", "Action": "SendSms", "Format": "XML", "OutId": "123", "PhoneNumbers": "15300000001", "RegionId": "cn-hangzhou",
			"SignName": "阿里云短信测试专用", "SignatureMethod": "HMAC-SHA1", "SignatureNonce": "45e25e9b-0a6f-4070-8c85-2956eda1b466",
			"SignatureVersion": "1.0", "TemplateCode": "SMS_71390007", "TemplateParam": `{"customer":"test"}`,
			"Timestamp": "2017-07-12T02:42:19Z", "Version": "2017-05-25",
		}},
	} {
		if got := signature("GET", c.secret, c.params); got != want {
			t.Errorf("%s is signed %s, not %s", c.params["Action"], got, want)
		}
	}
}

func TestTheStringToSignIsEncodedTwice(t *testing.T) {
	got := stringToSign("GET", map[string]string{"B": "x y", "A": "12:46+/*~"})
	if want := "GET&%2F&A%3D12%253A46%252B%252F%252A~%26B%3Dx%2520y"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
