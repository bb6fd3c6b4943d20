// A version 7 file that was cut is one whose last section is not there as a whole. Where sections do not lead to the end of the file, or
// what describes a buffer does not stand where sections lead to, a piece is missing before, or is too many.

extension TraceDatV7 {
  /// Reports that a file whose chain of options is broken was not merely cut.
  func reportDisplacement(in sections: [Section], into contents: inout TraceDatContents) {
    guard let last = sections.last else { return }
    if !last.isCut, last.end < file.count, !file.isEmpty(from: last.end) {
      contents.reportDisplacement(
        at: last.end,
        "no section begins where the one before it ends: a piece is missing before, or is too many")
    } else if let place = displacedDescription(of: sections) {
      contents.reportDisplacement(
        at: place,
        "no section leads to this description of a buffer: a piece is missing before, or is too many")
    }
  }

  /// Where near the end of the file an option stands that describes a buffer among `sections`, and none of those leads to it.
  private func displacedDescription(of sections: [Section]) -> Int? {
    let buffers = sections.filter { $0.id == TraceDatOption.buffer.rawValue }
    guard let first = buffers.first else { return nil }
    let offsets = Set(buffers.map { UInt64($0.offset) })
    let begin = max(first.body, file.count - Self.tailBytesMax)
    let options = optionPlaces(in: sections, from: begin)
    var reader = ByteReader(file, bigEndian: bigEndian)
    return (begin..<file.count).first { place in
      reader.offset = place
      guard let id = try? reader.u16(), id == TraceDatOption.buffer.rawValue,
        let size = try? reader.u32(), Int(size) <= reader.remaining, let buffer = try? reader.u64(),
        offsets.contains(buffer)
      else { return false }
      return !options.contains(place)
    }
  }

  /// Where options begin in `sections`, from `begin` on: each section of options is walked once.
  private func optionPlaces(in sections: [Section], from begin: Int) -> Set<Int> {
    var places: Set<Int> = []
    for section in sections where section.id == TraceDatOption.done.rawValue && section.end > begin {
      var options = ByteReader(file, bigEndian: bigEndian, at: section.body, end: section.end)
      while options.remaining > 0 {
        if options.offset >= begin { places.insert(options.offset) }
        guard (try? options.u16()) != nil, let size = try? options.u32(),
          (try? options.skip(UInt64(size))) != nil
        else { break }
      }
    }
    return places
  }

  /// What describes buffers takes a few bytes for each CPU.
  private static let tailBytesMax = 1 << 20
}
