package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"ipublish/deploy"
)

// A record is the CRC-32C of its bucket, key and content, then the content.
const checksumSize = 4

var errNoRecord = errors.New("no such record")

func checksum(bucket string, key, content []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, []byte(bucket))
	sum = crc32.Update(sum, table, []byte{0})
	sum = crc32.Update(sum, table, key)
	return crc32.Update(sum, table, content)
}

func seal(bucket string, key, content []byte) []byte {
	out := make([]byte, checksumSize, checksumSize+len(content))
	binary.BigEndian.PutUint32(out, checksum(bucket, key, content))
	return append(out, content...)
}

// unseal returns the content of a record; errNoRecord for nil.
func unseal(bucket string, key, record []byte) ([]byte, error) {
	if record == nil {
		return nil, errNoRecord
	}
	if len(record) < checksumSize {
		return nil, damaged("read", name(bucket, key), "the stored record is cut off", nil)
	}
	content := record[checksumSize:]
	if binary.BigEndian.Uint32(record) != checksum(bucket, key, content) {
		return nil, damaged("read", name(bucket, key), "the stored record does not match its checksum", nil)
	}
	return content, nil
}

func unsealNumber(bucket string, key, record []byte) (uint64, error) {
	content, err := unseal(bucket, key, record)
	if err != nil {
		return 0, err
	}
	n, ok := number(content)
	if !ok {
		return 0, damaged("read", name(bucket, key), "the stored record is not a number", nil)
	}
	return n, nil
}

func unsealJSON(bucket string, key, record []byte, v any) error {
	content, err := unseal(bucket, key, record)
	if err != nil {
		return err
	}
	if err := strict(content, v); err != nil {
		return damaged("read", name(bucket, key), "the stored record cannot be understood", err)
	}
	return nil
}

func strict(content []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// unsealEvent reads a journal record. One of another version is read as far as
// this binary can, so that the fold names the version.
func unsealEvent(seq uint64, record []byte) (deploy.Event, error) {
	key := numberKey(seq)
	content, err := unseal(bucketJournal, key, record)
	if errors.Is(err, errNoRecord) {
		return deploy.Event{}, damaged("read", name(bucketJournal, key), "the record is missing", nil)
	}
	if err != nil {
		return deploy.Event{}, err
	}
	ev, err := decodeEvent(content)
	if err != nil || ev.Seq != seq {
		return deploy.Event{}, damaged("read", name(bucketJournal, key), "the stored event cannot be understood", err)
	}
	return ev, nil
}

func decodeEvent(content []byte) (deploy.Event, error) {
	var ev deploy.Event
	err := strict(content, &ev)
	if err == nil {
		return ev, nil
	}
	var other deploy.Event
	if lenient := json.Unmarshal(content, &other); lenient == nil && other.V != deploy.EventVersion {
		return other, nil
	}
	return deploy.Event{}, err
}

// name tells people which record is meant.
func name(bucket string, key []byte) string {
	switch bucket {
	case bucketJournal:
		return fmt.Sprintf("%s %d", bucket, leading(key))
	case bucketIndex:
		return fmt.Sprintf("%s %s event %d", bucket, deploy.ID(leading(key)), leading(key[min(8, len(key)):]))
	case bucketDeploys, bucketQueue, bucketOutbox, bucketPending:
		return fmt.Sprintf("%s %s %s", bucket, deploy.ID(leading(key)), key[min(8, len(key)):])
	case bucketEnv:
		return parseTargetKey(key).String()
	}
	return fmt.Sprintf("%s %q", bucket, key)
}
