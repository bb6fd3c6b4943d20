#if FUZZING
  import Glibc

  /// What libFuzzer calls with each input: a recording is read from its beginning to its end.
  ///
  /// Inputs that the reader named in `PKVM_REPLAY_READER` does not take are read all the same, but not kept to be changed further: a
  /// corpus stays with its reader.
  ///
  /// - Returns: 0 for an input to be kept where it reaches something new, -1 for another one.
  @_cdecl("LLVMFuzzerTestOneInput")
  public func readOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: bytes, count: count)
    guard let reading = try? WholeReading(input) else {
      fatalError("no temporary file can be made")
    }
    guard let wanted = getenv("PKVM_REPLAY_READER") else { return 0 }
    return reading.reader == nil || reading.reader?.rawValue == String(cString: wanted) ? 0 : -1
  }
#endif
