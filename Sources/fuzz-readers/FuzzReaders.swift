#if !FUZZING
  import Glibc

  /// Reads files as the fuzzer does, one after the other, and says what became of each: how a failure that it found is looked at
  /// without it.
  ///
  ///     fuzz-readers FILE...
  ///
  /// With `-D FUZZING` and `--sanitize fuzzer` this is the fuzzer itself; `tools/fuzz` makes and runs it.
  @main
  struct FuzzReaders {
    static func main() throws {
      let paths = CommandLine.arguments.dropFirst()
      guard !paths.isEmpty else {
        print("usage: fuzz-readers FILE...")
        exit(64)
      }
      for path in paths {
        let reading = try WholeReading(bytes(of: path))
        if let refusal = reading.refusal {
          print("\(path): \(refusal)")
        } else {
          let events = "\(reading.events) events (checksum \(reading.checksum))"
          print("\(path): \(reading.format), \(events), \(reading.damage) damaged places")
        }
      }
    }

    private static func bytes(of path: String) -> [UInt8] {
      guard let file = fopen(path, "rb") else {
        print("\(path): \(String(cString: strerror(errno)))")
        exit(66)
      }
      defer { fclose(file) }
      var bytes: [UInt8] = []
      while case let byte = getc(file), byte != EOF { bytes.append(UInt8(byte)) }
      return bytes
    }
  }
#endif
