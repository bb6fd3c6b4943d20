// Where the CPUs' events lie: offsets and sizes as the file claims them, made to fit the file.

extension TraceDatContents {
  /// Whether a host can have pages of `bytes`: a power of two; large sub-buffers go up to megabytes.
  static func isPageSize(_ bytes: Int) -> Bool {
    (512...(16 << 20)).contains(bytes) && bytes & (bytes - 1) == 0
  }

  /// Takes in one CPU's area, cut where the file ends.
  mutating func addArea(cpu: UInt32, offset: UInt64, count: UInt64, limit: Int, to areas: inout [CPUArea]) {
    guard let cpu = UInt16(exactly: cpu) else {
      damage.append(Damage(offset: 0, what: "CPU \(cpu) has a number that no kernel gives; left out"))
      return
    }
    guard count > 0 else { return }
    guard offset < UInt64(limit) else {
      damage.append(
        Damage(
          offset: limit, cpu: cpu,
          what: "the file ends before the events of CPU \(cpu), which begin at byte \(offset)"))
      return
    }
    var length = Int(clamping: count)
    if length > limit - Int(offset) {
      length = limit - Int(offset)
      damage.append(
        Damage(
          offset: limit, cpu: cpu,
          what: "the file ends inside the events of CPU \(cpu): \(length) of \(count) bytes are there"))
    }
    areas.append(CPUArea(cpu: cpu, offset: Int(offset), count: length))
  }

  /// Cuts areas that reach into the next one, so that no byte is read twice: what all areas together need is
  /// bounded by the file's length, whatever a damaged table claims.
  mutating func separateAreas() {
    let order = buffers.indices.flatMap { buffer in
      buffers[buffer].areas.indices.map { (buffer: buffer, area: $0) }
    }.sorted { buffers[$0.buffer].areas[$0.area].offset < buffers[$1.buffer].areas[$1.area].offset }
    for (place, next) in zip(order, order.dropFirst()) {
      let area = buffers[place.buffer].areas[place.area]
      let limit = buffers[next.buffer].areas[next.area].offset - area.offset
      guard area.count > limit else { continue }
      buffers[place.buffer].areas[place.area].count = limit
      damage.append(
        Damage(
          offset: area.offset + limit, cpu: area.cpu,
          what:
            "the events of CPU \(area.cpu) reach into those of CPU \(buffers[next.buffer].areas[next.area].cpu)"
        ))
    }
    for buffer in buffers.indices { buffers[buffer].areas.removeAll { $0.count == 0 } }
  }

  /// Takes the active clock out of a list such as "[local] global".
  mutating func setClock(_ list: String) {
    if let open = list.firstIndex(of: "["), let close = list[open...].firstIndex(of: "]") {
      clock = String(list[list.index(after: open)..<close])
    }
  }
}
