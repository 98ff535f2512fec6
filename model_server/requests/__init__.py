"""What a request asks of a loaded version: functions from a protobuf message to a protobuf message."""
