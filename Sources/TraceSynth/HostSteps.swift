import SeededRandom

/// What the host does to its guests' memory: it ages it, looks at it, and takes it away.
extension Synthesizer {
  mutating func hostStep() throws(TraceWriteError) {
    stream.wait(random.below(3000))
    let guest = random.below(guests.count)
    let cpu = random.below(running.count)
    try interrupt(cpu)
    switch random.below(100) {
    case 0..<10: try otherMemory(guest, cpu)
    case 10..<60: try age(guest, cpu)
    case 60..<80:
      let page = random.below(guests[guest].pages)
      try stream.emit(.testAgeHVA, cpu: cpu, pid: HostThread.kswapd, guests[guest].hva(of: page))
    default: try unmap(guest, cpu)
    }
  }

  /// The VMM's own heap: notifiers speak of it too, and no memslot covers it.
  private mutating func otherMemory(_ guest: Int, _ cpu: Int) throws(TraceWriteError) {
    let start = 0xaaaa_e000_0000 + UInt64(random.below(4096)) * guests[guest].pageBytes
    let end = start + UInt64(1 + random.below(32)) * guests[guest].pageBytes
    let event: SyntheticEvent = random.below(2) == 0 ? .ageHVA : .unmapHVARange
    try stream.emit(event, cpu: cpu, pid: HostThread.vmm(guest), start, end)
  }

  private mutating func age(_ guest: Int, _ cpu: Int) throws(TraceWriteError) {
    // A huge page is aged as one, mapped by KVM or not; the entries that are aged together lie in one table.
    var range = guests[guest].stage2.withinTable(someRange(guest, pages: 1 << random.below(6)))
    if let block = guests[guest].stage2.hugePage(around: range.lowerBound) { range = block }
    try notify(.ageHVA, guest, cpu, HostThread.kswapd, range)
    guests[guest].stage2.age(range)
    guests[guest].aged.add(range)
  }

  /// Mostly single pages of reclaim, sometimes a stretch that the VMM gives back.
  private mutating func unmap(_ guest: Int, _ cpu: Int) throws(TraceWriteError) {
    let draw = random.below(100)
    let isReclaim = draw < 60
    let pages = isReclaim ? 1 : draw < 92 ? 1 + random.below(64) : 1 + random.below(512)
    let pid = isReclaim ? HostThread.kswapd : HostThread.vmm(guest)
    let range = someRange(guest, pages: pages)
    try notify(.unmapHVARange, guest, cpu, pid, range)
    // A huge page that the range covers in part is split, and the split takes all of it away.
    let first = blockRange(guest, range.lowerBound)
    let last = blockRange(guest, range.upperBound - 1)
    if let first, !range.contains(first) { try notify(.unmapHVARange, guest, cpu, pid, first) }
    if let last, last != first, !range.contains(last) { try notify(.unmapHVARange, guest, cpu, pid, last) }
    guests[guest].stage2.unmap(range, discards: !isReclaim)
    guests[guest].reclaimed.add(range)
  }

  private mutating func notify(
    _ event: SyntheticEvent, _ guest: Int, _ cpu: Int, _ pid: Int32, _ range: Range<Int>
  ) throws(TraceWriteError) {
    let start = guests[guest].hva(of: range.lowerBound)
    try stream.emit(event, cpu: cpu, pid: pid, start, guests[guest].hva(of: range.upperBound))
  }

  /// A stretch of up to `pages` near where a vCPU is busy, or anywhere.
  private mutating func someRange(_ guest: Int, pages: Int) -> Range<Int> {
    let all = guests[guest].pages
    var start = random.below(all)
    if random.below(4) != 0 {
      let vcpu = vcpus[guest * configuration.vcpus + random.below(configuration.vcpus)]
      start = (vcpu.cursor + all - random.below(min(all, 4096))) % all
    }
    return start..<min(start + pages, all)
  }

  /// The mapped block around a page: the host handles a huge page as one.
  private func blockRange(_ guest: Int, _ page: Int) -> Range<Int>? {
    guard guests[guest].stage2.isInBlock(page) else { return nil }
    return guests[guest].stage2.block(around: page)
  }
}
