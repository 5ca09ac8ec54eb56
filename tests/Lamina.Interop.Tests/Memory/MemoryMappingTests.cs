using Lamina.Interop.Memory;

namespace Lamina.Interop.Tests.Memory;

public sealed class MemoryMappingTests
{
    [Theory]
    [InlineData(4096UL, true)]
    [InlineData(64UL << 20, true)]
    [InlineData(64UL << 20, false)]
    public void AnonymousMemoryIsZeroAlignedAndWritable(ulong length, bool hugePages)
    {
        using MemoryMapping mapping = MemoryMapping.CreateAnonymous(length, hugePages);
        Assert.Equal(0, mapping.Address % MemoryMapping.HugePageSize);
        Assert.Equal(length, mapping.Length);
        Span<byte> last = mapping.GetSpan(length - 4096, 4096);
        Assert.Equal(-1, last.IndexOfAnyExcept((byte)0));
        last[4095] = 7;
        Assert.Equal(7, mapping.GetSpan(length - 1, 1)[0]);
    }

    [Theory]
    [InlineData(4096UL)]
    [InlineData(64UL << 20)]
    public void GrowingMemoryHasSmallPagesFirstAndHugeOnesBehind(ulong length)
    {
        using MemoryMapping mapping = MemoryMapping.CreateGrowing(length);
        Span<byte> last = mapping.GetSpan(length - 4096, 4096);
        Assert.Equal(-1, last.IndexOfAnyExcept((byte)0));
        last[4095] = 7;
        Assert.Equal(7, mapping.GetSpan(length - 1, 1)[0]);
        AdvisedPages.AssertGrowing(mapping.Address, length);
    }

    [Fact]
    public void MoreThanTheHostHasCanBeMappedButNotMoreThanItCanAddress()
    {
        MemoryMapping.CreateAnonymous(1UL << 40).Dispose();
        SystemCallException failure = Assert.Throws<SystemCallException>(() => MemoryMapping.CreateAnonymous(1UL << 62));
        Assert.Equal("mmap", failure.Call);
        Assert.Equal(ErrorNumber.OutOfMemory, failure.ErrorNumber);
        Assert.StartsWith("mmap: ", failure.Message, StringComparison.Ordinal);
        Assert.Throws<SystemCallException>(() => MemoryMapping.CreateAnonymous(ulong.MaxValue));
    }

    [Fact]
    public void TwoMappingsOfAMemoryFileAreTheSameMemory()
    {
        using MemoryFile file = MemoryFile.Create("test", 8192);
        using MemoryMapping first = MemoryMapping.CreateShared(file);
        using MemoryMapping second = MemoryMapping.CreateShared(file);
        first.GetSpan(5000, 1)[0] = 42;
        Assert.NotEqual(first.Address, second.Address);
        Assert.Equal(42, second.GetSpan(5000, 1)[0]);
    }

    [Fact]
    public void SpansStayInside()
    {
        using MemoryMapping mapping = MemoryMapping.CreateAnonymous(4096);
        Assert.Throws<ArgumentOutOfRangeException>(() => mapping.GetSpan(4096, 1).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => mapping.GetSpan(0, -1).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => mapping.GetSpan(ulong.MaxValue, 1).Length);
        mapping.Dispose();
        Assert.Throws<ObjectDisposedException>(() => mapping.GetSpan(0, 1).Length);
    }

    [Fact]
    public unsafe void TheHostTellsItsMemory()
    {
        Assert.True(HostMemory.TotalSize > 64UL << 20);
        Assert.True(sizeof(HostMemory.SystemInformation) >= 112);
    }
}
