internal import KVMTypes

/// What the metadata of a trace.dat says, version 6 or 7, before any event is read.
///
/// `TraceDatV6` and `TraceDatV7` fill it; both keep what they understood when they meet damage.
struct TraceDatContents {
  /// One buffer: the top one with the name "", or an instance.
  struct Buffer {
    var name: String
    var clock: String
    var pageBytes: Int
    /// Whether the CPUs' areas consist of compressed chunks.
    var isCompressed: Bool
    var areas: [CPUArea]
  }

  /// Where one CPU's events lie in the file.
  struct CPUArea {
    var cpu: UInt16
    var offset: Int
    var count: Int
  }

  /// The text of a format file, kept where it lies: in the file, or in a section that was decompressed.
  struct FormatText {
    var system: String
    var text: UnsafeRawBufferPointer
  }

  var version: Int
  var bigEndian: Bool
  /// The size of a long in the traced user space.
  var userLongSize: Int
  /// The size of a long in the traced kernel, from `header_page`.
  var kernelLongSize = 8
  var pageBytes: Int
  /// The length of a sub-buffer, from `header_page`; nil where that does not say.
  var subBufferBytes: Int?
  var compression: String = "none"
  var clock = ""
  var uname = ""
  var cpuCount = 0
  var traceID: UInt64?
  var time = TimeConversion()
  var formats: [FormatText] = []
  /// Where in the file the formats begin, for those that lie in a compressed section.
  var formatsOffset = 0
  var commands: [Int32: String] = [:]
  var printFormats: [(address: UInt64, text: String)] = []
  var buffers: [Buffer] = []
  var damage: [Damage] = []
  /// The per-CPU statistics that the kernel kept, as text: its own account of what was lost.
  var cpuStatistics: [String] = []
  /// Decompressed sections that `formats` points into.
  var sections: [SectionBytes] = []
}

/// A decompressed section; whoever keeps a pointer into it keeps this.
final class SectionBytes {
  let bytes: UnsafeMutableRawBufferPointer

  init(count: Int) { bytes = .allocate(byteCount: count, alignment: 16) }

  deinit { bytes.deallocate() }
}
