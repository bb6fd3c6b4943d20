import Testing

@testable import Reporting

@Suite("Ranges from few samples")
struct PredictedRangeTests {
  private let possible = 10.0...1_000_000.0

  @Test("One sample shows no spread: what is possible")
  func one() {
    let range = PredictedRange([(low: 100, high: 200)], possible: possible)
    #expect(range.least == 10 && range.most == 1_000_000)
    #expect(range.isAllPossible && range.samples == 1)
    #expect(range.widened(5, 5).isAllPossible)
  }

  @Test("Equal samples leave a tenth either way, and no range leaves what is possible")
  func equal() {
    let range = PredictedRange([(low: 110, high: 200), (low: 110, high: 200)], possible: possible)
    #expect((99...100).contains(range.least) && (220...221).contains(range.most))
    #expect(!range.isAllPossible && range.samples == 2)
    let cut = PredictedRange([(low: 110, high: 200), (low: 110, high: 200)], possible: 105...210)
    #expect(cut.least == 105 && cut.most == 210)
  }

  @Test("Two samples that differ leave much, many leave less")
  func spread() {
    let two = PredictedRange([(low: 100, high: 1000), (low: 200, high: 2000)], possible: possible)
    let samples = (0..<20).map { number -> (low: Double?, high: Double) in
      number.isMultiple(of: 2) ? (low: 100, high: 1000) : (low: 200, high: 2000)
    }
    let many = PredictedRange(samples, possible: possible)
    #expect(two.most == 1_000_000 && many.most < 5000 && many.most > 2000)
    #expect(two.least == 10 && many.least > 50 && many.least < 100)
  }

  @Test("Where the least of one is not known, the least is what is possible")
  func unknown() {
    let range = PredictedRange([(low: nil, high: 200), (low: 110, high: 200)], possible: possible)
    #expect(range.least == 10 && (220...221).contains(range.most))
  }
}
