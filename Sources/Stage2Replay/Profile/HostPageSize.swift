public import KVMTrace
public import KVMTypes

/// The host's page size, and how it is known.
///
/// A trace.dat states the size of the ring buffer's sub-buffers, which is the page size only by default
/// (`buffer_subbuf_size_kb`, `trace-cmd record --subbuf-size`). A sub-buffer is never smaller than a page: one of 4 KiB
/// decides; of a bigger one the events must tell.
public struct HostPageSize: Hashable, Sendable {
  /// The size.
  public let pageSize: PageSize
  /// `derived` where no other size is possible, else `assumed`.
  public let basis: Basis

  /// A size that is known.
  init(_ pageSize: PageSize, _ basis: Basis) {
    self.pageSize = pageSize
    self.basis = basis
  }

  /// The page size of the host of `source`. Reads the beginning of the events where nothing else decides between several.
  ///
  /// - Parameter stated: what the user says, which is taken.
  public init(of source: some EventSource, stated: PageSize? = nil) {
    var found = source.pageSize.map { HostPageSize($0, .derived) }
    if found == nil {
      var evidence = PageSizeEvidence(pageBytesMax: source.pageBytesMax, uname: source.uname)
      if !evidence.isSettled { evidence.read(source) }
      found = evidence.result
    }
    self = found ?? HostPageSize(.size4K, .assumed)
    // What the trace decides, it decides, whoever says the same.
    if let stated, stated != pageSize { self.init(stated, .assumed) }
  }
}
