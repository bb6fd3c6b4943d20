import Testing

@testable import KVMTypes

@Suite("Search in order")
struct SortedSearchTests {
  @Test("The first position for which a condition holds is what a walk finds", arguments: 0...9)
  func first(count: Int) {
    let numbers = (0..<count).map { $0 / 2 }
    for bound in -1...6 {
      let walked = numbers.firstIndex { $0 >= bound } ?? count
      #expect(numbers.partitioningIndex { $0 >= bound } == walked)
      let slice = numbers[(count / 3)...]
      #expect(slice.partitioningIndex { $0 >= bound } == slice.firstIndex { $0 >= bound } ?? count)
    }
  }
}
