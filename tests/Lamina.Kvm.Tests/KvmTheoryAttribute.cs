using System.Runtime.CompilerServices;

namespace Lamina.Kvm.Tests;

/// <summary>As <see cref="KvmFactAttribute"/>, with data.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KvmTheoryAttribute : TheoryAttribute
{
    /// <summary>Looks whether KVM is there.</summary>
    public KvmTheoryAttribute([CallerFilePath] string? file = null, [CallerLineNumber] int line = -1)
        : base(file, line)
    {
        Skip = KvmHost.FindProblem();
    }
}
