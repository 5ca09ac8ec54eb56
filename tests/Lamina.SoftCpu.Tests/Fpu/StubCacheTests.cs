using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Tests.Fpu;

public sealed unsafe class StubCacheTests
{
    [Fact]
    public void RegistersAndAddressesShareAStub()
    {
        using GuestMachine guest = new();
        Assert.True(guest.TryBind([0x0f, 0x58, 0xc1], out Instruction first));
        Assert.True(guest.TryBind([0x44, 0x0f, 0x58, 0xfa], out Instruction second));
        Assert.True(guest.TryBind([0x0f, 0x58, 0x03], out Instruction memory));
        Assert.True(guest.TryBind([0x0f, 0x58, 0x41, 0x10], out Instruction memory2));
        Assert.Equal(first.Data, second.Data);
        Assert.Equal(memory.Data, memory2.Data);
        Assert.NotEqual(first.Data, memory.Data);
        Assert.Equal(2, guest.Stubs.Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ThreadsBindTheSameStubs(bool strict)
    {
        using StubCache stubs = new(strict);
        VectorRow shuffle = VectorRows.All.First(row => row.Name == "pshufd");
        nint[][] found = new nint[4][];
        Parallel.For(0, found.Length, thread =>
        {
            found[thread] = new nint[256];
            for (int n = 0; n < 256; n++)
            {
                found[thread][n] = stubs.Vector(new VectorForm { Row = shuffle, Immediate = (byte)n });
            }
        });
        Assert.Equal(256, stubs.Count);
        Assert.All(found, stub => Assert.Equal(found[0], stub));
        Assert.Equal(256, found[0].Distinct().Count());
    }

    [Theory]
    [InlineData("77.0F.58     addpx            V,H,W        SSE/AVX/AVX")]
    [InlineData("NP.0F99.58   addpx            V,H,W        SSE/AVX/AVX")]
    [InlineData("NP.0F.58     addpx            V,H,Wz       SSE/AVX/AVX")]
    [InlineData("NP.0F.58     addpx            V,H,Z        SSE/AVX/AVX")]
    [InlineData("NP.0F.58     addpx            V,H,W        SSE/AVX/AVX9")]
    [InlineData("NP.0F.58     addpx            V,H,W        SSE/AVX/AVX      mx zz")]
    public void WordsThatTheTableHasNotNameTheirRow(string row)
    {
        Assert.Contains("addpx", Assert.Throws<InvalidOperationException>(() => VectorRows.Parse($"# A row\n{row}")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void GrowsByRegions()
    {
        using StubCache stubs = new();
        foreach (VectorRow row in VectorRows.All.Where(row => row.Immediate && !row.ImmediateRegister && row.Legacy != ProcessorFeatures.None))
        {
            for (int n = 0; n < 256; n++)
            {
                _ = stubs.Vector(new VectorForm { Row = row, Immediate = (byte)n, Memory = true });
                _ = stubs.Vector(new VectorForm { Row = row, Immediate = (byte)n, W = true, Memory = true });
                _ = stubs.Vector(new VectorForm { Row = row, Immediate = (byte)n, W = true, Memory = false });
            }
        }

        Assert.True(stubs.Count > 30_000);
    }
}
