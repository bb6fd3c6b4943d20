internal import KVMTypes

// Whether pages are as long as the description of their buffer says. Read as longer ones, half of them would be passed over, for they lie
// behind the events of the other half; read as shorter ones, half would have no head.

extension TraceDatContents {
  /// Reads the pages of a buffer as what the recorded kernel says of all sub-buffers, where the buffer's description says otherwise and the
  /// pages contradict it. An instance may have sub-buffers of another size: then they do not.
  mutating func checkPageSizes(in file: FileBytes) {
    let kernels = subBufferBytes ?? pageBytes
    // One for all, so that what is decompressed of all together has its limit.
    let kept = KeptChunks(Compression(name: compression) ?? .none, storedBytes: .max)
    for index in buffers.indices where buffers[index].pageBytes != kernels {
      let claimed = buffers[index].pageBytes
      guard let offset = firstPage(of: buffers[index], shownToTake: kernels, in: file, kept) else { continue }
      damage.append(
        Damage(
          offset: offset,
          what:
            "the buffer \"\(buffers[index].name)\" claims pages of \(claimed) bytes, and has some of \(kernels)"
        ))
      buffers[index].pageBytes = kernels
    }
  }

  /// Leaves out what a copy says of the host's pages where its sub-buffers contradict it: those are as large, or as the recording's, which
  /// are no smaller.
  mutating func checkCopiedPageSize() {
    guard let origin = copyOrigin, let claimed = origin.pageSize else { return }
    let bytes = UInt64(subBufferBytes ?? pageBytes)
    guard origin.hasSubBuffers ? claimed.bytes > bytes : claimed.bytes != bytes else { return }
    copyOrigin?.pageSize = nil
    damage.append(
      Damage(
        offset: copyOriginOffset,
        what: "a copy of sub-buffers of \(bytes) bytes claims that its host has pages of \(claimed.bytes)"))
  }

  /// So many CPUs are looked at, and so many pages of each.
  private static let probedMax = (cpus: 16, pages: 64)

  /// Where the first pages lie that are as long as `bytes`, and cannot be as long as their buffer says; nil where none shows that.
  private func firstPage(
    of buffer: Buffer, shownToTake bytes: Int, in file: FileBytes, _ kept: KeptChunks
  ) -> Int? {
    let shown = buffer.areas.prefix(Self.probedMax.cpus).first { area in
      shows(area, of: buffer, bytes, in: file, kept)
    }
    return shown?.offset
  }

  /// Whether each place where a page of `bytes` must begin holds a head that fits it, or none, in the order of time; and one of them stands
  /// inside a page as long as the buffer says, or claims more than that holds.
  private func shows(
    _ area: CPUArea, of buffer: Buffer, _ bytes: Int, in file: FileBytes, _ kept: KeptChunks
  ) -> Bool {
    var parts = buffer
    parts.pageBytes = min(bytes, buffer.pageBytes)
    let source = PageSource(file: file, area: area, buffer: parts, kept: kept, bigEndian: bigEndian)
    let decoder = PageDecoder(
      bigEndian: bigEndian, headerBytes: 8 + kernelLongSize, time: time(ofCPU: area.cpu),
      cpu: CPUIndex(area.cpu))
    var (position, stamp, isShown) = (0, UInt64(0), false)
    while position < Self.probedMax.pages * bytes, let part = source.next() {
      defer { position += parts.pageBytes }
      guard position % bytes == 0 else { continue }
      let header = decoder.header(of: part)
      if header.commit == 0 { continue }
      let dataBytes = header.dataBytes
      guard header.isWellFormed, dataBytes <= bytes - decoder.headerBytes, header.stamp >= stamp else {
        return false
      }
      stamp = header.stamp
      isShown =
        isShown || position % buffer.pageBytes != 0 || dataBytes > buffer.pageBytes - decoder.headerBytes
    }
    return isShown
  }
}
