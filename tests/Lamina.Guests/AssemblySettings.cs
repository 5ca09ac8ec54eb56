using Xunit.Sdk;
using Xunit.v3;

// A guest's processors are threads that are always busy: two machines at a time would only slow each other.
[assembly: Parallelization(Mode = ParallelMode.None)]
