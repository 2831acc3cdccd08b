"""mmedc for users of other libraries: steps of datatrove, signatures of datasketch. Imports neither by itself."""
