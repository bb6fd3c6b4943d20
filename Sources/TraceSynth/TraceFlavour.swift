/// The shape of a trace.dat file: everything that changes how its bytes are laid out.
public struct TraceFlavour: Hashable, Sendable {
  /// The version of the file format.
  public enum Version: UInt8, Hashable, Sendable, CaseIterable {
    /// One fixed sequence of parts, never compressed.
    case v6 = 6
    /// Sections that options point at, compressed or stored.
    case v7 = 7
  }

  /// The order of bytes in a word.
  public enum ByteOrder: UInt8, Hashable, Sendable, CaseIterable {
    /// Low byte first.
    case little = 0
    /// High byte first.
    case big = 1
  }

  /// How sections and per-CPU data are packed (v7 only).
  public enum Compression: String, Hashable, Sendable, CaseIterable {
    /// Stored as they are.
    case none
    /// Zstandard frames without a content size.
    case zstd
    /// zlib streams.
    case zlib
  }

  /// The version of the file format.
  public var version: Version
  /// The order of bytes of every word after the file's magic.
  public var byteOrder: ByteOrder
  /// The bytes of a `long` in the traced user space.
  public var userLongBytes: Int
  /// The bytes of a `long` in the traced kernel: decides the sub-buffer header and the event layouts.
  public var kernelLongBytes: Int
  /// The bytes of a ring-buffer sub-buffer, which is also the alignment of per-CPU data that is stored.
  public var pageBytes: Int
  /// How sections and per-CPU data are packed.
  public var compression: Compression

  /// A flavour; the defaults are what an arm64 kernel with 4 KiB pages records, stored.
  public init(
    version: Version = .v7, byteOrder: ByteOrder = .little, userLongBytes: Int = 8,
    kernelLongBytes: Int = 8, pageBytes: Int = 4096, compression: Compression = .none
  ) {
    precondition(userLongBytes == 4 || userLongBytes == 8, "a long has 4 or 8 bytes")
    precondition(kernelLongBytes == 4 || kernelLongBytes == 8, "a long has 4 or 8 bytes")
    precondition(pageBytes >= 64 && pageBytes & (pageBytes - 1) == 0, "a page is a power of two")
    precondition(version == .v7 || compression == .none, "a v6 file cannot be compressed")
    self.version = version
    self.byteOrder = byteOrder
    self.userLongBytes = userLongBytes
    self.kernelLongBytes = kernelLongBytes
    self.pageBytes = pageBytes
    self.compression = compression
  }

  /// The bytes before a sub-buffer's data: a 64-bit time stamp and the `commit` word.
  public var pageHeaderBytes: Int { 8 + kernelLongBytes }

  /// The bytes of event data that fit into a sub-buffer.
  public var pageDataBytes: Int { pageBytes - pageHeaderBytes }
}
