using System.Text;
using Lamina.Machine.Backends;
using Lamina.Personalities.Scsi;

namespace Lamina.Personalities.Tests.Scsi;

/// <summary>The disk's commands, by SPC-4 and SBC-3.</summary>
public sealed class ScsiDiskTests : IScsiCompletion, IDisposable
{
    private const int DiskLength = 1 << 20;
    private readonly GuestRam _ram = new();
    private readonly TestDisk _disk = new(DiskLength);
    private readonly ScsiRequest _request;
    private readonly ulong _data;
    private int _completed;

    public ScsiDiskTests()
    {
        _request = new ScsiRequest(0, this);
        _data = _ram.Allocate(8192);
    }

    void IScsiCompletion.OnCompleted(ScsiRequest request) => _completed++;

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void ItSaysWhatItIs()
    {
        Assert.Equal("00000602", Convert.ToHexString(Execute("120000002400", 36))[..8]);
        Assert.Equal("Virtual disk    ", Encoding.ASCII.GetString(_ram.Get(_data + 16, 16)));
        Assert.Equal("serial", Encoding.ASCII.GetString(Execute("12018000ff00", 255)[4..]));
        Assert.Equal("00000006008083b0b1b2", Convert.ToHexStringLower(Execute("12010000ff00", 255)));
        Assert.Equal("000007ff00000200", Convert.ToHexStringLower(Execute("25000000000000000000", 8)));
        Assert.Equal("00000000000007ff00000200000380", Convert.ToHexStringLower(Execute("9e100000000000000000000000200000", 32))[..30]);
        Assert.Equal("17000000081204", Convert.ToHexStringLower(Execute("1a000800ff00", 255))[..14]);
        _disk.IsReadOnly = true;
        Assert.Equal("80", Convert.ToHexStringLower(Execute("1a003f00ff00", 255))[4..6]);
        Assert.Equal("00000008000000000000000000000000", Convert.ToHexStringLower(Execute("a00000000000000000100000", 16)));
    }

    [Theory]
    [InlineData("0a0000080200", "080000080200", 8UL, 2)]
    [InlineData("2a000000000800000200", "28000000000800000200", 8UL, 2)]
    [InlineData("aa0000000008000000020000", "a80000000008000000020000", 8UL, 2)]
    [InlineData("8a000000000000000008000000020000", "88000000000000000008000000020000", 8UL, 2)]
    public void WhatIsWrittenIsRead(string write, string read, ulong block, int count)
    {
        byte[] content = new byte[count * 512];
        new Random(1).NextBytes(content);
        _ram.Memory.TryWrite(_data, content);
        Execute(write, content.Length);
        Assert.Equal((ulong)content.Length, _request.Transferred);
        Assert.Equal(content, _disk.Content.AsSpan((int)block * 512, content.Length).ToArray());
        _ram.Memory.TryWrite(_data, new byte[content.Length]);
        Assert.Equal(content, Execute(read, content.Length));
    }

    [Fact]
    public void RangesAreZeroedAndUnmapped()
    {
        Array.Fill(_disk.Content, (byte)1);
        _ram.Memory.TryWrite(_data, new byte[512]);
        Execute("41000000000400000200", 512);
        Assert.Equal("WriteZeroes 2048+1024", _disk.Log[^1]);
        Execute("93080000000000000010000000040000", 512);
        Assert.Equal("WriteZeroes 8192+2048 discard", _disk.Log[^1]);
        _ram.Memory.TryWrite(_data, Convert.FromHexString("001600100000000000000000000000200000000800000000"));
        Execute("42000000000000001800", 24);
        Assert.Equal("Discard 16384+4096", _disk.Log[^1]);
        Execute("35000000000000000000", 0);
        Assert.StartsWith("Flush", _disk.Log[^1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("41000000000400025800", 4, 600, 512)]
    [InlineData("93000000000000000004000002580000", 4, 600, 512)]
    [InlineData("93080000000000000004000002580000", 4, 600, 512)]
    [InlineData("41000000000700000100", 7, 1, 512)]
    [InlineData("93000000000000000064000002580000", 100, 600, 300, 100, 112)]
    [InlineData("41000000000000080100", 0, -1, 512)]
    [InlineData("41000000030000000000", 768, 1280, 400, 112)]
    public void AnyBlockIsWrittenAgainAndAgain(string command, int first, int count, params int[] pieces)
    {
        byte[] pattern = new byte[512];
        new Random(3).NextBytes(pattern);
        foreach (bool hold in new[] { false, true })
        {
            Array.Fill(_disk.Content, (byte)1);
            _disk.Log.Clear();
            _disk.Hold = hold;
            _completed = 0;
            bool ended = SubmitPieces(command, pattern, pieces);
            if (count < 0)
            {
                Assert.Equal((true, SenseCode.AddressOutOfRange), (ended, _request.Sense));
                Assert.Empty(_disk.Log);
                continue;
            }

            Assert.Equal(!hold, ended);

            // Whoever waits for the disk waits for all of it.
            _disk.Drain();
            Assert.Equal((ScsiStatus.Good, 512UL, hold ? 1 : 0), (_request.Status, _request.Transferred, _completed));
            byte[] expected = new byte[DiskLength];
            Array.Fill(expected, (byte)1);
            for (int i = first; i < first + count; i++)
            {
                pattern.CopyTo(expected, i * 512);
            }

            Assert.True(expected.AsSpan().SequenceEqual(_disk.Content), "The disk's content differs.");
            int part = ScsiRequest.MaximumBuffers / pieces.Length;
            Assert.Equal((count + part - 1) / part, _disk.Log.Count);
            Assert.Equal($"Write {first * 512}+{Math.Min(count, part) * 512}", _disk.Log[0]);
        }
    }

    [Fact]
    public void APartThatFailsIsTheLast()
    {
        byte[] pattern = new byte[512];
        pattern[511] = 1;
        _disk.Hold = true;
        Assert.False(SubmitPieces("93000000000000000000000006000000", pattern, 512));
        Assert.True(_disk.Held.Peek().IsPart, "It would be written on the processor's thread.");
        _disk.CompleteOne();
        _disk.Answer = BlockResult.Failed;
        _disk.CompleteOne();
        Assert.Equal((1, SenseCode.WriteError, 0), (_completed, _request.Sense, _disk.Held.Count));

        // What is used for something else afterwards does not go on with it.
        _disk.Answer = BlockResult.Done;
        Assert.False(Submit("2a000000000000000100", 512));
        Assert.False(_disk.Held.Peek().IsPart, "A request by itself may be done at once.");
        _disk.CompleteOne();
        Assert.Equal((2, 512UL, 0), (_completed, _request.Transferred, _disk.Held.Count));
    }

    [Fact]
    public void WhatItSaysOfWriteSameHolds()
    {
        // Of the block limits: WSNZ, and the maximum write same length. What is over it is refused, and what comes to it is only outside of this disk.
        byte[] limits = Execute("1201b000ff00", 255);
        Assert.Equal("00", Convert.ToHexString(limits)[8..10]);
        Assert.Equal("0000000000020000", Convert.ToHexString(limits.AsSpan(36, 8)));
        byte[] pattern = new byte[512];
        pattern[0] = 1;
        foreach ((string command, SenseCode sense) in new[]
        {
            ("93000000000000000000000200010000", SenseCode.InvalidField), ("93000000000000000000000200000000", SenseCode.AddressOutOfRange),
            ("93000000000000000000000008010000", SenseCode.AddressOutOfRange), ("93000000000000000800000000010000", SenseCode.AddressOutOfRange),
            ("93100000000000000000000000010000", SenseCode.InvalidField), ("93180000000000000000000000010000", SenseCode.InvalidField),
            ("93020000000000000000000000010000", SenseCode.InvalidField), ("93200000000000000000000000010000", SenseCode.InvalidField),
            ("41010000000000000100", SenseCode.InvalidField), ("41100000000000000100", SenseCode.InvalidField),
        })
        {
            Assert.True(SubmitPieces(command, pattern, 512));
            Assert.True(_request.Sense == sense, $"{command}: {_request.Sense}");
        }

        Assert.True(SubmitPieces("41000000000000000100", pattern, 511));
        Assert.Equal(SenseCode.InvalidField, _request.Sense);
        _disk.IsReadOnly = true;
        Assert.True(SubmitPieces("41000000000000000100", pattern, 512));
        Assert.Equal(SenseCode.WriteProtected, _request.Sense);
        _disk.IsReadOnly = false;
        Assert.Empty(_disk.Log);

        // Without data it is zeroes.
        Assert.True(SubmitPieces("93010000000000000001000000020000", pattern, 512));
        Assert.True(SubmitPieces("93090000000000000001000000020000", pattern));
        Assert.Equal(["WriteZeroes 512+1024", "WriteZeroes 512+1024 discard"], _disk.Log);

        // A disk that gives no space back does not say that it unmaps.
        _disk.CanDiscard = false;
        Assert.True(SubmitPieces("93090000000000000001000000020000", pattern));
        Assert.Equal(SenseCode.InvalidField, _request.Sense);
    }

    [Theory]
    [InlineData("28000000080000000100", 512, "5/21/00")]
    [InlineData("2800ffffffff00000100", 512, "5/21/00")]
    [InlineData("8800ffffffffffffffff000000010000", 512, "5/21/00")]
    [InlineData("28000000000000000200", 512, "5/24/00")]
    [InlineData("28e00000000000000100", 512, "5/24/00")]
    [InlineData("2a080000000000000100", 512, "5/24/00")]
    [InlineData("ff", 0, "5/20/00")]
    [InlineData("12010100ff00", 255, "5/24/00")]
    [InlineData("1a00c800ff00", 255, "5/24/00")]
    [InlineData("42000000000000000400", 4, "5/1a/00")]
    [InlineData("42000000000000001800", 8, "5/26/00")]
    [InlineData("9e110000000000000000000000200000", 32, "5/20/00")]
    public void MistakesAreCheckConditions(string command, int length, string sense)
    {
        // An unmap list that promises a descriptor.
        _ram.Memory.TryWrite(_data, Convert.FromHexString("0016001000000000"));
        Submit(command, length);
        Assert.Equal(ScsiStatus.CheckCondition, _request.Status);
        Assert.Equal(sense, $"{_request.Sense.Key:x}/{_request.Sense.Code:x2}/{_request.Sense.Qualifier:x2}");
        Assert.Empty(_disk.Log);
    }

    [Fact]
    public void ErrorsOfTheBackEndAreTold()
    {
        _disk.Answer = BlockResult.Failed;
        Submit("28000000000000000100", 512);
        Assert.Equal(SenseCode.ReadError, _request.Sense);
        Submit("2a000000000000000100", 512);
        Assert.Equal(SenseCode.WriteError, _request.Sense);
        _disk.Answer = BlockResult.Done;
        _disk.IsReadOnly = true;
        Submit("2a000000000000000100", 512);
        Assert.Equal(SenseCode.WriteProtected, _request.Sense);
    }

    [Fact]
    public void ARequestMayEndLater()
    {
        _disk.Hold = true;
        Assert.False(Submit("28000000000000000100", 512));
        Assert.Equal(0, _completed);
        _disk.CompleteOne();
        Assert.Equal((1, 512UL), (_completed, _request.Transferred));
    }

    [Fact]
    public void AnyCommandIsAnswered()
    {
        Random random = new(5);
        for (int i = 0; i < 20000; i++)
        {
            byte[] command = new byte[16];
            random.NextBytes(command);
            command[0] = (byte)(i % 256);
            if (random.Next(2) == 0)
            {
                Array.Clear(command, 1, 12);
            }

            Assert.True(Submit(Convert.ToHexString(command), random.Next(4096)));
        }
    }

    private byte[] Execute(string command, int length)
    {
        Assert.True(Submit(command, length));
        Assert.True(_request.Status == ScsiStatus.Good, $"{command}: {_request.Sense}");
        return _ram.Get(_data, (int)_request.Transferred);
    }

    private bool SubmitPieces(string command, byte[] data, params int[] pieces)
    {
        ScsiTarget target = new(_ram.Memory, new ScsiDisk[] { new(_ram.Memory, _disk, "serial"u8) });
        _request.Clear();
        Convert.FromHexString(command).CopyTo(_request.Command);
        int done = 0;
        ulong address = _data;
        foreach (int piece in pieces)
        {
            _ram.Memory.TryWrite(address, data.AsSpan(done, piece));
            Assert.True(_request.TryAdd(new GuestBuffer(address, _ram.Memory.GetHostAddress(address, (ulong)piece), (uint)piece)));
            done += piece;
            address += (uint)piece + 8;
        }

        return target.Submit(_request, 0);
    }

    private bool Submit(string command, int length)
    {
        ScsiTarget target = new(_ram.Memory, new ScsiDisk[] { new(_ram.Memory, _disk, "serial"u8) });
        _request.Clear();
        Convert.FromHexString(command).CopyTo(_request.Command);
        if (length > 0)
        {
            Assert.True(_request.TryAdd(new GuestBuffer(_data, _ram.Memory.GetHostAddress(_data, (ulong)length), (uint)length)));
        }

        return target.Submit(_request, 0);
    }
}
