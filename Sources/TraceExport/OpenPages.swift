internal import KVMTrace
internal import TraceSynth

/// The pages of a copy that are being filled, one of each CPU of each buffer that has had an event or a loss.
struct OpenPages {
  /// Which buffer and CPU a page is of.
  struct Place: Hashable {
    let buffer: Int
    let cpu: UInt16
  }

  /// The page of a CPU that is being filled.
  ///
  /// Nothing that is called while `writer` is changed comes back to it: to have that checked for each event took a third of the time.
  final class Page {
    let place: Place
    @exclusivity(unchecked) var writer: PageWriter

    init(_ place: Place, pageBytes: Int) {
      self.place = place
      writer = PageWriter(pageBytes: pageBytes)
      writer.begin()
    }
  }

  private let buffers: [TraceBuffer]
  private let pageBytes: Int
  /// By buffer and the position of the CPU among those of the buffer.
  private var pages: [[Page?]]
  /// The page that was asked for last: events mostly come in runs.
  private var recent: Page?

  init(_ buffers: [TraceBuffer], pageBytes: Int) {
    self.buffers = buffers
    self.pageBytes = pageBytes
    pages = buffers.map { Array(repeating: nil, count: $0.cpus.count) }
  }

  /// The page of a place; nil of a CPU that the buffer does not have.
  @inline(__always)
  mutating func page(_ place: Place) -> Page? {
    if let recent, recent.place == place { return recent }
    return find(place)
  }

  private mutating func find(_ place: Place) -> Page? {
    guard let position = buffers[place.buffer].position(of: UInt32(place.cpu)) else { return nil }
    let page = pages[place.buffer][position] ?? Page(place, pageBytes: pageBytes)
    pages[place.buffer][position] = page
    recent = page
    return page
  }

  /// Those that there are, in the order of the buffers and of their CPUs.
  var all: [Page] { pages.joined().compactMap(\.self) }
}
