using Lamina.Interop.Kvm;

namespace Lamina.Kvm.Tests;

/// <summary>Calls that a test may answer in the kernel's place.</summary>
internal sealed unsafe class TestCalls : IKvmCalls
{
    private readonly Dictionary<uint, int> _counts = [];

    /// <summary>The answer to a request (number, how many of it came before, argument), or null to ask the kernel.</summary>
    public Func<uint, int, nint, int?>? Answer { get; set; }

    /// <summary>How many of each request were made.</summary>
    public int Count(uint request) => _counts.GetValueOrDefault(request);

    public int Control(int descriptor, uint request, void* argument)
    {
        int before = _counts.GetValueOrDefault(request);
        _counts[request] = before + 1;
        return Answer?.Invoke(request, before, (nint)argument) ?? KvmCalls.Instance.Control(descriptor, request, argument);
    }
}
