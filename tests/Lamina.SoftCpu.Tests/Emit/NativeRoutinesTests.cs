using System.Runtime.InteropServices;
using Lamina.SoftCpu.Emit;

namespace Lamina.SoftCpu.Tests.Emit;

public sealed unsafe class NativeRoutinesTests
{
    [Fact]
    public void CompareExchange16()
    {
        ulong* target = (ulong*)NativeMemory.AlignedAlloc(16, 16);
        target[0] = 1;
        target[1] = 2;
        ulong* expected = stackalloc ulong[] { 1, 3 };
        ulong* replacement = stackalloc ulong[] { 5, 6 };
        Assert.False(NativeRoutines.CompareExchange16(target, expected, replacement));
        Assert.Equal((1UL, 2UL), (expected[0], expected[1]));
        Assert.Equal((1UL, 2UL), (target[0], target[1]));
        Assert.True(NativeRoutines.CompareExchange16(target, expected, replacement));
        Assert.Equal((5UL, 6UL), (target[0], target[1]));
        NativeMemory.AlignedFree(target);
    }
}
