internal import KVMTypes

// Where the CPUs' events lie: offsets and sizes as the file claims them, made to fit the file.

extension TraceDatContents {
  /// The largest sub-buffer that a kernel has, in bytes: an event's place in it has 20 bits (`RB_WRITE_MASK`).
  static let subBufferBytesMax = 1 << 20

  /// Whether a host can have pages of `bytes`: a power of two.
  static func isPageSize(_ bytes: Int) -> Bool {
    (512...subBufferBytesMax).contains(bytes) && bytes & (bytes - 1) == 0
  }

  /// Takes in one CPU's area, cut where the file ends. What is missing of compressed chunks shows when they are read.
  mutating func addArea(
    cpu: UInt32, offset: UInt64, count: UInt64, limit: Int, isCompressed: Bool = false,
    to areas: inout [CPUArea]
  ) {
    guard let cpu = UInt16(exactly: cpu) else {
      lacksArea = true
      damage.append(Damage(offset: 0, what: "CPU \(cpu) has a number that no kernel gives; left out"))
      return
    }
    guard count > 0 || !isCompressed && offset < UInt64(limit) else { return }
    let (end, isTooFar) = offset.addingReportingOverflow(count)
    describedEnd = max(describedEnd, isTooFar ? .max : end)
    guard offset < UInt64(limit) else {
      lacksArea = true
      damage.append(
        Damage(
          offset: limit, cpu: cpu,
          what: "the file ends before the events of CPU \(cpu), which begin at byte \(offset)"))
      return
    }
    var length = Int(clamping: count)
    let isCut = length > limit - Int(offset)
    if isCut {
      length = limit - Int(offset)
      if !isCompressed {
        damage.append(
          Damage(
            offset: limit, cpu: cpu,
            what: "the file ends inside the events of CPU \(cpu): \(length) of \(count) bytes are there"))
      }
    }
    var area = CPUArea(cpu: cpu, offset: Int(offset), count: length)
    area.isCut = isCut
    areas.append(area)
  }

  /// Reports damage for which a buffer is missing, or some CPUs of one.
  mutating func reportLackOfBuffer(_ place: Damage) {
    damage.append(place)
    lacksBuffer = true
  }

  /// Cuts areas that reach into the next one, so that no byte is read twice: what all areas together need is
  /// bounded by the file's length, whatever a damaged table claims. Chunks may reach up to what comes next, whatever
  /// their area's size is. What stands behind an area of pages must be described, or nothing.
  mutating func separateAreas(in file: FileBytes) {
    let order = buffers.indices.flatMap { buffer in
      buffers[buffer].areas.indices.map { (buffer: buffer, area: $0) }
    }.sorted { buffers[$0.buffer].areas[$0.area].offset < buffers[$1.buffer].areas[$1.area].offset }
    let sections = sectionOffsets.sorted()
    var next: (offset: Int, cpu: UInt16)?
    for place in order.reversed() {
      let area = buffers[place.buffer].areas[place.area]
      let section = sections[sections.partitioningIndex { $0 > area.offset }...].first
      let limit = [next?.offset, section].compactMap(\.self).min()
      if buffers[place.buffer].isCompressed {
        buffers[place.buffer].areas[place.area].limit = limit ?? file.count
      } else if let limit, area.offset + area.count < limit {
        reportUndescribed(behind: area, before: limit, in: file)
      } else if let next, area.offset + area.count > next.offset {
        buffers[place.buffer].areas[place.area].count = next.offset - area.offset
        damage.append(
          Damage(
            offset: next.offset, cpu: area.cpu,
            what: "the events of CPU \(area.cpu) reach into those of CPU \(next.cpu)"))
      }
      next = (area.offset, area.cpu)
    }
    for buffer in buffers.indices {
      let isCompressed = buffers[buffer].isCompressed
      buffers[buffer].areas.removeAll { isCompressed ? $0.limit == $0.offset : $0.count == 0 }
    }
  }

  /// Reports pages between a CPU's area and what comes next. Areas begin at multiples of a page: what lies between is less than one, or
  /// zeros.
  private mutating func reportUndescribed(behind area: CPUArea, before next: Int, in file: FileBytes) {
    let end = area.offset + area.count
    var reader = ByteReader(file, bigEndian: bigEndian, at: end, end: next)
    guard next - end >= PageWriter.headerBytes, let stamp = try? reader.u64(), let commit = try? reader.u64(),
      stamp != 0 || commit != 0
    else { return }
    if area.count == 0 { lacksArea = true }
    damage.append(
      Damage(
        offset: end, cpu: area.cpu,
        what: "\(next - end) bytes behind the events of CPU \(area.cpu) are in no list of them; left out"))
  }

  /// Where the events of all CPUs end that the file describes, no earlier than `metadata` does.
  func end(behind metadata: Int) -> Int {
    buffers.lazy.flatMap(\.areas).reduce(metadata) { max($0, $1.offset + $1.count) }
  }

  /// Reports that another recording begins at `offset`, behind all that this one describes: somebody has joined two files.
  mutating func reportAnother(in file: FileBytes, at offset: Int) {
    if let another = RecordingSignature.another(in: file, at: offset) { damage.append(another) }
  }

  /// Takes the active clock out of a list such as "[local] global".
  mutating func setClock(_ list: String) {
    if let open = list.firstIndex(of: "["), let close = list[open...].firstIndex(of: "]") {
      clock = String(list[list.index(after: open)..<close])
    }
  }
}
