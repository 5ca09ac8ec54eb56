using System.Runtime.CompilerServices;

namespace Lamina.Kvm.Tests;

/// <summary>A test that needs <c>/dev/kvm</c>: skipped, with the reason, where it cannot be used.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KvmFactAttribute : FactAttribute
{
    /// <summary>Looks whether KVM is there.</summary>
    public KvmFactAttribute([CallerFilePath] string? file = null, [CallerLineNumber] int line = -1)
        : base(file, line)
    {
        Skip = KvmHost.FindProblem();
    }
}
