using System.ComponentModel;
using Lamina.Interop.Memory;

namespace Lamina.Interop.Tests.Memory;

public sealed unsafe class ExecutableMemoryTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WhatIsWrittenCanBeExecuted(bool strict)
    {
        using ExecutableMemory memory = ExecutableMemory.Map(5000, strict);
        Assert.Equal(8192u, memory.Size);
        Assert.Equal(strict, memory.WritePointer != memory.ExecutePointer);

        // mov eax, edi; add eax, 1; ret
        ReadOnlySpan<byte> code = [0x89, 0xf8, 0x83, 0xc0, 0x01, 0xc3];
        code.CopyTo(new Span<byte>(memory.WritePointer + 4096, 16));
        Assert.Equal(42, ((delegate* unmanaged<int, int>)(memory.ExecutePointer + 4096))(41));
    }

    [Fact]
    public void MuchCodeIsInHugePagesBehindTheFirst()
    {
        const int size = 16 << 20;
        using ExecutableMemory memory = ExecutableMemory.Map(size);
        Assert.Equal(size, (long)memory.Size);
        memory.WritePointer[size - 1] = 0xc3;
        ((delegate* unmanaged<void>)(memory.ExecutePointer + size - 1))();
        AdvisedPages.AssertGrowing((nint)memory.WritePointer, size);
    }

    [Theory]
    [InlineData(false, "mmap")]
    [InlineData(true, "ftruncate")]
    public void ARefusalNamesTheCall(bool strict, string call)
    {
        Win32Exception exception = Assert.Throws<Win32Exception>(() => ExecutableMemory.Map(nuint.MaxValue / 2, strict));
        Assert.StartsWith(call, exception.Message, StringComparison.Ordinal);
    }
}
