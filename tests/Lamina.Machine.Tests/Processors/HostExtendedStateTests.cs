using System.Runtime.Intrinsics.X86;
using Lamina.Machine.Processors;

namespace Lamina.Machine.Tests.Processors;

/// <summary>What the host keeps for programs, by its own account.</summary>
public sealed class HostExtendedStateTests
{
    /// <summary>Compiled just in time, the intrinsics' test is right: it looks at CPUID and XCR0.</summary>
    [Fact]
    public void Avx_is_found_where_the_runtime_finds_it() => Assert.Equal(Avx.IsSupported, HostExtendedState.HasAvx);
}
