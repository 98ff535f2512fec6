"""What happens to one prediction. numpy in, numpy out: no Flask, no JSON, no gRPC, no SQL."""
