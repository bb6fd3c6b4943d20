internal import KVMTrace
internal import TraceSynth

/// The pages of a copy that are being filled, one of each CPU of each buffer that has had an event or a loss.
///
/// Each event asks for its page, so pages are lent as pointers: references would be counted, and that took a tenth of the time of a copy.
///
/// Invariant: every pointer in `pages` is to a page that was made here and lives until deinit. Nobody keeps one.
struct OpenPages: ~Copyable {
  /// Which buffer and CPU a page is of.
  struct Place: Hashable {
    let buffer: Int
    let cpu: UInt16
  }

  /// The page of a CPU that is being filled.
  struct Page: ~Copyable {
    let place: Place
    var writer: PageWriter
    /// Whether what is missing before its events is so for damage.
    var isBehindDamage = false

    init(_ place: Place, pageBytes: Int) {
      self.place = place
      writer = PageWriter(pageBytes: pageBytes)
      writer.begin()
    }
  }

  /// A page that is lent.
  typealias Lent = UnsafeMutablePointer<Page>

  private let buffers: [TraceBuffer]
  private let pageBytes: Int
  /// By buffer and the position of the CPU among those of the buffer.
  private var pages: [[Lent?]]
  /// The place that was asked for last, and its page: events mostly come in runs.
  private var recent: (place: Place, page: Lent)?

  init(_ buffers: [TraceBuffer], pageBytes: Int) {
    self.buffers = buffers
    self.pageBytes = pageBytes
    pages = buffers.map { Array(repeating: nil, count: $0.cpus.count) }
  }

  deinit {
    for page in all {
      page.deinitialize(count: 1)
      page.deallocate()
    }
  }

  /// The page of a place; nil of a CPU that the buffer does not have.
  @inline(__always)
  mutating func page(_ place: Place) -> Lent? {
    if let recent, recent.place == place { return recent.page }
    return find(place)
  }

  private mutating func find(_ place: Place) -> Lent? {
    guard let position = buffers[place.buffer].position(of: UInt32(place.cpu)) else { return nil }
    let page = pages[place.buffer][position] ?? make(place)
    pages[place.buffer][position] = page
    recent = (place, page)
    return page
  }

  private func make(_ place: Place) -> Lent {
    let page = Lent.allocate(capacity: 1)
    page.initialize(to: Page(place, pageBytes: pageBytes))
    return page
  }

  /// Those that there are, in the order of the buffers and of their CPUs.
  var all: [Lent] { pages.joined().compactMap(\.self) }
}
