/// What the descriptions of events point to: made while a text is surveyed, and kept until the last pass over it is over.
///
/// Invariant: every block that was handed out is valid, and does not change, until deinit.
final class TextArena {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  /// A copy of `elements`.
  func copy<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafePointer<Element> {
    let size = max(1, elements.count * MemoryLayout<Element>.stride)
    let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: MemoryLayout<Element>.alignment)
    blocks.append(block)
    let typed = block.bindMemory(to: Element.self, capacity: max(1, elements.count))
    typed.initialize(from: elements, count: elements.count)
    return UnsafePointer(typed)
  }
}
