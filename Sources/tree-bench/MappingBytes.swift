import CTreeBench
import KVMTypes
import Stage2Model

/// What the model takes for each live mapping: `memory`.
///
/// The model's own account, and beside it by how much the heap has grown meanwhile.
enum MappingBytes {
  static func run() {
    print("bytes for each mapping")
    print("backend        frames   population             tables    tree  EL2 pages  other   total    heap")
    let geometry = try! Stage2Geometry(pageSize: .size4K, ipaBits: 40)
    for population in Population.all() {
      for knowsFrames in [false, true] {
        report("traditional", population, knowsFrames) {
          TraditionalStage2(geometry: geometry)
        } bytes: {
          $0.modelBytes
        }
        for keepsTree in [false, true] {
          var configuration = PKVMConfiguration(geometry: geometry)
          configuration.keepsMappingTree = keepsTree
          report(keepsTree ? "pKVM, tree" : "pKVM", population, knowsFrames) {
            PKVMStage2(configuration)
          } bytes: {
            $0.modelBytes
          }
        }
      }
    }
  }

  private static func report<Backend: Stage2Backend & ~Copyable>(
    _ name: String, _ population: Population, _ knowsFrames: Bool, make: () -> Backend,
    bytes: (inout Backend) -> ModelBytes
  ) {
    let before = ctb_heap_bytes()
    var backend = make()
    for page in population.pages {
      backend.fault(page, pfn: knowsFrames ? PFN(page.rawValue >> 12 ^ 0x5555) : nil)
    }
    let heap = Int(ctb_heap_bytes()) - Int(before)
    let model = bytes(&backend)
    func each(_ bytes: Int, _ width: Int) -> String {
      padded(one(max(0, Double(bytes) / Double(population.pages.count))), width)
    }
    print(
      """
      \(name.padded(14)) \((knowsFrames ? "known" : "unknown").padded(8)) \(population.name.padded(23)) \
      \(each(model.tables, 5)) \(each(model.mappingTree, 7)) \(each(model.hypPages, 10)) \
      \(each(model.other, 6)) \(each(model.total, 7)) \(each(heap, 7))
      """)
  }
}
