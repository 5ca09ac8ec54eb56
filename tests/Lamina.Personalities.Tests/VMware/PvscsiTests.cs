using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.VMware.Pvscsi;

namespace Lamina.Personalities.Tests.VMware;

/// <summary>The adapter as a driver sees it, good and hostile.</summary>
public sealed class PvscsiTests : IDisposable
{
    private const ulong Ring = GuestRam.Start;
    private const ulong Completions = GuestRam.Start + 0x1000;
    private const ulong State = GuestRam.Start + 0x2000;
    private const ulong Data = GuestRam.Start + 0x4000;
    private const ulong Sense = GuestRam.Start + 0x3000;
    // 1023 blocks in four parts.
    private const string WriteSame = "93000000000000000004000003ff0000";

    private readonly GuestRam _ram = new(16);
    private readonly RecordingMessages _messages = new();
    private readonly TestDisk _disk = new(1 << 20);
    private readonly PvscsiController _controller;
    private uint _produced;

    public PvscsiTests()
    {
        _controller = new PvscsiController("pvscsi", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages);
        Assert.True(_controller.TryAddDisk(_disk, "x"u8));
        _controller.Function.WriteConfiguration(4, [6, 0]);
        _controller.Start();
    }

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void ARequestGoesThroughTheRingsAndRaisesTheLine()
    {
        SetUp();
        Write(PvscsiRegister.InterruptMask, 1);
        new Random(1).NextBytes(_disk.Content);
        Put(context: 77, Data, 1024, "28000000000300000200");
        Kick();
        Assert.Equal((77UL, 1024UL, 0u), Completion(0));
        Assert.Equal(_disk.Content.AsSpan(1536, 1024).ToArray(), _ram.Get(Data, 1024));
        Assert.Equal((1u, 1u, 1u), (_ram.Get<uint>(State + 4), _ram.Get<uint>(State + 12), Read(PvscsiRegister.InterruptStatus)));
        Write(PvscsiRegister.InterruptStatus, 1);
        Assert.Equal(0u, Read(PvscsiRegister.InterruptStatus));
    }

    [Fact]
    public void ErrorsComeWithSense()
    {
        SetUp();
        Put(5, Data, 512, "28007fffffff00000100");
        Kick();
        Assert.Equal((5UL, 0UL, 0x0002_0000u), Completion(0));
        Assert.Equal("7000050000000000", Convert.ToHexString(_ram.Get(Sense, 8))[..12] + "0000");
        Assert.Equal(18u, _ram.Get<uint>(Completions + 16));
    }

    [Fact]
    public void ListsAreFollowedAcrossTheirPages()
    {
        SetUp();
        new Random(2).NextBytes(_disk.Content);
        ulong list = Data + 0x8000;
        Element(list, Data, 512, 0);
        Element(list + 16, list + 64, 0, 1);
        Element(list + 64, Data + 0x1000, 512, 0);
        Put(1, list, 1024, "28000000000000000200", flags: 1);
        Kick();
        Assert.Equal((1UL, 1024UL, 0u), Completion(0));
        Assert.Equal(_disk.Content.AsSpan(512, 512).ToArray(), _ram.Get(Data + 0x1000, 512));
    }

    [Fact]
    public void ABlockThatIsWrittenAgainAndAgainIsDoneBeforeAMachineIsSaved()
    {
        SetUp();
        byte[] block = BeginWriteSame();
        _controller.Stop();
        Assert.Equal((1UL, 512UL, 0u), Completion(0));
        Assert.Equal((4, 0, 1023), (_disk.Log.Count, _disk.Held.Count, CountBlocks(block)));

        // What goes on from its state has nothing left to write.
        StateBag state = new();
        _controller.Save(state);
        Assert.True(_controller.Restore(state), "The state is refused.");
        _controller.Start();
        Assert.Equal((4, 1u), (_disk.Log.Count, _ram.Get<uint>(State + 12)));
    }

    [Theory]
    [InlineData((uint)PvscsiCommand.AdapterReset, true)]
    [InlineData((uint)PvscsiCommand.ResetBus, true)]
    [InlineData((uint)PvscsiCommand.ResetDevice, true, 0u, 0u, 0u)]
    [InlineData((uint)PvscsiCommand.ResetDevice, false, 1u, 0u, 0u)]
    [InlineData((uint)PvscsiCommand.AbortCommand, true, 1u, 0u, 0u, 0u)]
    [InlineData((uint)PvscsiCommand.AbortCommand, false, 2u, 0u, 0u, 0u)]
    [InlineData((uint)PvscsiCommand.AbortCommand, false, 1u, 0u, 1u, 0u)]
    [InlineData(0u, true)]
    public void AResetEndsABlockThatIsWrittenAgainAndAgain(uint command, bool ends, params uint[] data)
    {
        SetUp();
        byte[] block = BeginWriteSame();
        if (command == 0)
        {
            _controller.Reset();
        }
        else
        {
            Write(PvscsiRegister.Command, command);
            foreach (uint word in data)
            {
                Write(PvscsiRegister.CommandData, word);
            }
        }

        // One that aborts waits for nothing.
        bool aborts = command == (uint)PvscsiCommand.AbortCommand;
        Assert.Equal(aborts ? 1 : 0, _disk.Held.Count);
        _disk.Drain();
        Assert.Equal(ends ? (1, 0, 256) : (4, 0, 1023), (_disk.Log.Count, _disk.Held.Count, CountBlocks(block)));
        if (command is not (0 or (uint)PvscsiCommand.AdapterReset))
        {
            Assert.Equal((1UL, ends ? 0UL : 512UL, ends ? 0x0002_0000u : 0u), Completion(0));
            Assert.Equal(ends ? (6, 0x29) : (0, 0), (_ram.Get<byte>(Sense + 2), _ram.Get<byte>(Sense + 12)));

            // What uses its place afterwards is written as often as it says.
            _disk.Hold = false;
            Put(2, Data, 512, WriteSame);
            Kick();
            Assert.Equal((2UL, 512UL, 0u), Completion(1));
            Assert.Equal(1023, CountBlocks(block));
        }
    }

    [Fact]
    public void DataAcrossRegionsOfRamIsRead()
    {
        // The first 15 pages are regions of their own.
        SetUp();
        new Random(4).NextBytes(_disk.Content);
        Put(1, Data + 0x800, 0x3000, "28000000000000001800");
        Kick();
        Assert.Equal((1UL, 0x3000UL, 0u), Completion(0));
        Assert.Equal(_disk.Content.AsSpan(0, 0x800).ToArray(), _ram.Get(Data + 0x800, 0x800));
        Assert.Equal(_disk.Content.AsSpan(0x800, 0x1000).ToArray(), _ram.Get(Data + 0x1000, 0x1000));
        Assert.Equal(_disk.Content.AsSpan(0x2800, 0x800).ToArray(), _ram.Get(Data + 0x3000, 0x800));
        ulong list = Data + 0x8000;
        Element(list, Data + 0xe00, 0x400, 0);
        Put(2, list, 0x400, "28000000001000000200", flags: 1);
        Kick();
        Assert.Equal((2UL, 0x400UL, 0u), Completion(1));
        Assert.Equal(_disk.Content.AsSpan(0x2200, 0x200).ToArray(), _ram.Get(Data + 0x1000, 0x200));
        Put(3, GuestRam.Start + GuestRam.Length - 512, 1024, "28000000001000000200");
        Kick();
        Assert.Equal((3UL, 0UL, 0x1au), Completion(2));
    }

    [Theory]
    [InlineData(Data, 512UL, 0u, 1, 0x11u)]
    [InlineData(0UL, 512UL, 0u, 0, 0x1au)]
    [InlineData(Data, ulong.MaxValue, 0u, 0, 0x1au)]
    [InlineData(Data, 512UL, 2u, 0, 0x1au)]
    [InlineData(Data + 0x8000, 512UL, 1u, 0, 0x1au)]
    public void WhatCannotBeARequestIsRefusedByTheAdapter(ulong data, ulong length, uint flags, byte target, uint status)
    {
        SetUp();

        // A list that leads to itself.
        Element(Data + 0x8000, Data + 0x8000, 0, 1);
        Put(9, data, length, "28000000000000000100", flags, target);
        Kick();
        Assert.Equal((9UL, 0UL, status), Completion(0));
        Assert.Empty(_disk.Log);
    }

    [Fact]
    public void ARingThatCannotBeIsRefused()
    {
        Assert.Equal(uint.MaxValue, SetUp(pages: 3));
        Assert.Equal(uint.MaxValue, SetUp(pages: 64));
        Assert.Equal(uint.MaxValue, SetUp(pages: 0));
        Assert.Equal(uint.MaxValue, SetUp(state: ulong.MaxValue));
        SetUp();
        _ram.Set(State, 0x8000_0000u);
        Kick();
        Assert.Equal(0u, _ram.Get<uint>(State + 12));
        Write(PvscsiRegister.Command, 99);
        Assert.Equal(uint.MaxValue, Read(PvscsiRegister.CommandStatus));
    }

    [Fact]
    public void DisksComeAndGoByMessages()
    {
        const ulong Messages = GuestRam.Start + 0x30_0000;
        TestDisk other = new(1 << 20);
        SetUp();
        Assert.Equal(0u, SetUpMessages(Messages));
        Write(PvscsiRegister.InterruptMask, 0xf);
        Assert.True(_controller.TryInsert(3, other, "y"u8), "The place is free.");
        Assert.False(_controller.TryInsert(3, other, "y"u8));
        Assert.False(_controller.TryInsert(16, other, "y"u8));
        Assert.Equal((1u, 0u, 3u, 4u), (_ram.Get<uint>(State + 128), _ram.Get<uint>(Messages), _ram.Get<uint>(Messages + 8), Read(PvscsiRegister.InterruptStatus)));
        Put(1, Data, 512, "28000000000000000100", target: 3);
        Kick();
        Assert.Equal(["Read 0+512"], other.Log);

        // The driver says by its index that it is done.
        Assert.True(_controller.RequestRemoval(3), "There is room for a message.");
        Assert.Equal((2u, 1u, 3u), (_ram.Get<uint>(State + 128), _ram.Get<uint>(Messages + 128), _ram.Get<uint>(Messages + 136)));
        _ram.Set(State + 132, 1u);
        Assert.False(_controller.IsGivenUp(3));
        _ram.Set(State + 132, 500u);
        Assert.False(_controller.IsGivenUp(3));
        _ram.Set(State + 132, 2u);
        Assert.True(_controller.IsGivenUp(3), "The driver has taken the message.");
        _controller.Remove(3);
        Put(2, Data, 512, "28000000000000000100", target: 3);
        Kick();
        Assert.Equal((2UL, 0UL, 0x11u), Completion(1));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ADriverThatSetsItsRingsUpAnewHasNotHeardOfARemoval(bool withRings)
    {
        const ulong Messages = GuestRam.Start + 0x30_0000;
        SetUp();
        Assert.Equal(0u, SetUpMessages(Messages));
        Assert.True(_controller.TryInsert(3, new TestDisk(1 << 20), "y"u8));
        Assert.True(_controller.RequestRemoval(3));
        Assert.Equal(2u, _ram.Get<uint>(State + 128));
        if (withRings)
        {
            SetUp();
        }

        Assert.Equal(0u, SetUpMessages(Messages));
        Assert.False(_controller.IsGivenUp(3), "The message is gone, and nobody has acted on it.");
        Assert.True(_controller.RequestRemoval(3));
        Assert.Equal((1u, 1u, 3u), (_ram.Get<uint>(State + 128), _ram.Get<uint>(Messages), _ram.Get<uint>(Messages + 8)));
        Assert.False(_controller.IsGivenUp(3));
        _ram.Set(State + 132, 1u);
        Assert.True(_controller.IsGivenUp(3));
    }

    [Fact]
    public void ADriverThatTakesNoMessagesKeepsItsDiskUntilTheReset()
    {
        Assert.False(_controller.RequestRemoval(0));
        Assert.False(_controller.IsGivenUp(0));
        Assert.Equal(uint.MaxValue, SetUpMessages(GuestRam.Start + 0x30_0000));
        SetUp();
        Assert.Equal(uint.MaxValue, SetUpMessages(GuestRam.Start + 0x30_0000, pages: 17));
        Assert.Equal(uint.MaxValue, SetUpMessages(GuestRam.Start + 0x30_0000, pages: 0));
        Assert.Equal(0u, SetUpMessages(GuestRam.Start + 0x30_0000));
        _ram.Set(State + 132, 0x8000_0000u);
        Assert.False(_controller.RequestRemoval(0));

        // What was said before the adapter was reset, nobody has heard.
        _ram.Set(State + 132, 0u);
        Assert.True(_controller.RequestRemoval(0), "There is room for a message.");
        Write(PvscsiRegister.Command, 1);
        SetUp();
        SetUpMessages(GuestRam.Start + 0x30_0000);
        Assert.True(_controller.RequestRemoval(0), "There is room for a message.");
        Assert.Equal(1u, _ram.Get<uint>(State + 128));
        Assert.False(_controller.IsGivenUp(0));
        _controller.Reset();
        Assert.True(_controller.IsGivenUp(0), "After a reset nobody has the disk.");
    }

    [Fact]
    public void ADriverHearsOfADiskThatHasGrownWithItsNextCommand()
    {
        SetUp();
        _disk.Hold = true;
        Put(1, Data, 512, "28000000000000000100");
        Kick();
        _disk.Hold = false;
        byte[] larger = new byte[2 << 20];
        _controller.Resize(0, () =>
        {
            Assert.Empty(_disk.Held);

            // What comes meanwhile waits.
            Put(2, Data, 512, "12000000240000000000");
            Put(3, Data, 512, "28000007ff0000000100");
            Put(4, Data, 512, "25000000000000000000");
            Kick();
            Assert.Equal(1u, _ram.Get<uint>(State + 12));
            _disk.Content = larger;
        });
        Assert.Equal(4u, _ram.Get<uint>(State + 12));
        Assert.Equal((2UL, 36UL, 0u), Completion(1));
        Assert.Equal((3UL, 0UL, 0x0002_0000u), Completion(2));
        Assert.Equal((6, 0x2a, 9), (_ram.Get<byte>(Sense + 2), _ram.Get<byte>(Sense + 12), _ram.Get<byte>(Sense + 13)));
        Assert.Equal((4UL, 8UL, 0u), Completion(3));
        Assert.Equal("00000FFF00000200", Convert.ToHexString(_ram.Get(Data, 8)));

        // A machine that is saved before its driver has heard tells it afterwards.
        _controller.Resize(0, static () => { });
        _controller.Resize(5, static () => { });
        _controller.Stop();
        StateBag state = new();
        _controller.Save(state);
        Assert.Equal(1UL, state.Integers[18]);
        state.Integers.Remove(18);
        Assert.True(_controller.Restore(state), "A state of before disks could grow is taken.");
        state.Integers[18] = 1;
        Assert.True(_controller.Restore(state), "The state is taken.");
        _controller.Start();
        Put(5, Data, 512, "28000000000000000100");
        Kick();
        Assert.Equal((5UL, 0UL, 0x0002_0000u), Completion(4));
    }

    [Fact]
    public void AfterAResetNothingMoreIsWritten()
    {
        SetUp();
        _disk.Hold = true;
        Put(1, Data, 512, "28000000000000000100");
        Kick();
        Assert.Single(_disk.Held);
        Write(PvscsiRegister.Command, 1);
        Assert.Empty(_disk.Held);
        Assert.Equal(0u, _ram.Get<uint>(State + 12));
    }

    [Fact]
    public void MoreRequestsThanPlacesAllEnd()
    {
        SetUp(pages: 8);
        _disk.Hold = true;
        for (uint i = 0; i < 200; i++)
        {
            Put(i + 1, Data, 512, "28000000000000000100");
        }

        Kick();
        Assert.Equal(64, _disk.Held.Count);
        while (_disk.Held.Count > 0)
        {
            _disk.CompleteOne();
        }

        Assert.Equal(200u, _ram.Get<uint>(State + 12));
    }

    [Fact]
    public void ADriverThatAddsRequestsWithoutEndHoldsNobodyUp()
    {
        SetUp(pages: 8);
        int added = 0;
        _disk.Submitting = () =>
        {
            Assert.True(added++ < 100, "The adapter goes on for as long as another processor adds requests, and lets nobody else in.");
            Put(7, Data, 512, "28000000000000000100");
        };
        Put(7, Data, 512, "28000000000000000100");
        Kick();
        Assert.Equal((1, 1u), (added, _ram.Get<uint>(State + 12)));

        // What was added has a kick of its own.
        Kick();
        Assert.Equal((2, 2u), (added, _ram.Get<uint>(State + 12)));
    }

    [Fact]
    public void GarbageInMemoryAndRegistersIsSurvived()
    {
        Random random = new(7);
        byte[] junk = new byte[0x6000];
        ulong[] registers = [0, 4, 8, 0x100c, 0x2010, 0x3014, 0x4018, 0x3018];
        for (int i = 0; i < 4000; i++)
        {
            if (i % 50 == 0)
            {
                SetUp(pages: 1u << random.Next(4));
                random.NextBytes(junk);
                _ram.Memory.TryWrite(GuestRam.Start, junk);
            }

            _ram.Set(State, (uint)random.Next(64));
            Write(registers[random.Next(registers.Length)], (uint)random.Next(12));
        }
    }

    [Fact]
    public void ItsStateIsTheSameAfterSaveAndRestore()
    {
        SetUp();
        Write(PvscsiRegister.InterruptMask, 1);
        Put(1, Data, 512, "28000000000000000100");
        Kick();
        _controller.Stop();
        StateBag state = new();
        _controller.Save(state);
        PvscsiController after = new("pvscsi", new CheckedLock(), new CheckedLock(), new CheckedLock(), _ram.Memory, _messages);
        Assert.True(after.Restore(state));
        StateBag again = new();
        after.Save(again);
        Assert.Equal(state.Describe(), again.Describe());
        state.Integers[16] = 33;
        Assert.False(after.Restore(state));
        state.Integers[16] = 0;
        state.Integers[9] = 33;
        Assert.False(after.Restore(state));
    }

    private uint SetUp(uint pages = 1, ulong state = State)
    {
        Write(PvscsiRegister.Command, 3);
        ulong rings = pages > 1 ? GuestRam.Start + 0x10_0000 : Ring;
        ulong completions = pages > 1 ? GuestRam.Start + 0x20_0000 : Completions;
        Write(PvscsiRegister.CommandData, pages);
        Write(PvscsiRegister.CommandData, pages);
        WriteLong(state >> 12);
        for (uint i = 0; i < 32; i++)
        {
            WriteLong((rings >> 12) + i);
        }

        for (uint i = 0; i < 32; i++)
        {
            WriteLong((completions >> 12) + i);
        }

        _produced = 0;
        _requests = rings;
        return Read(PvscsiRegister.CommandStatus);
    }

    private uint SetUpMessages(ulong address, uint pages = 1)
    {
        Write(PvscsiRegister.Command, 8);
        Write(PvscsiRegister.CommandData, pages);
        Write(PvscsiRegister.CommandData, 0);
        for (uint i = 0; i < 16; i++)
        {
            WriteLong((address >> 12) + i);
        }

        return Read(PvscsiRegister.CommandStatus);
    }

    private ulong _requests = Ring;

    private byte[] BeginWriteSame()
    {
        _disk.Hold = _disk.EndsElsewhere = true;
        byte[] block = new byte[512];
        new Random(5).NextBytes(block);
        Assert.True(_ram.Memory.TryWrite(Data, block));
        Put(1, Data, 512, WriteSame);
        Kick();
        Assert.Single(_disk.Held);
        return block;
    }

    private int CountBlocks(byte[] block) => Enumerable.Range(0, 2048).Count(i => _disk.Content.AsSpan(i * 512, 512).SequenceEqual(block));

    private void Put(ulong context, ulong data, ulong length, string command, uint flags = 0, byte target = 0)
    {
        ulong at = _requests + (_produced * 128);
        _ram.Memory.TryWrite(at, new byte[128]);
        _ram.Set(at, context);
        _ram.Set(at + 8, data);
        _ram.Set(at + 16, length);
        _ram.Set(at + 24, Sense);
        _ram.Set(at + 32, 96u);
        _ram.Set(at + 36, flags);
        _ram.Memory.TryWrite(at + 40, Convert.FromHexString(command));
        _ram.Set(at + 67, target);
        _ram.Set(State, ++_produced);
    }

    private void Element(ulong at, ulong address, uint length, uint flags)
    {
        _ram.Set(at, address);
        _ram.Set(at + 8, length);
        _ram.Set(at + 12, flags);
    }

    private (ulong Context, ulong Length, uint Status) Completion(uint index)
    {
        ulong at = Completions + (index * 32);
        return (_ram.Get<ulong>(at), _ram.Get<ulong>(at + 8), _ram.Get<uint>(at + 20));
    }

    private void Kick() => Write(PvscsiRegister.KickRwIo, 0);

    private void WriteLong(ulong value)
    {
        Write(PvscsiRegister.CommandData, (uint)value);
        Write(PvscsiRegister.CommandData, (uint)(value >> 32));
    }

    private void Write(ulong offset, uint value) => _controller.Write(offset, BitConverter.GetBytes(value));

    private uint Read(ulong offset)
    {
        byte[] value = new byte[4];
        _controller.Read(offset, value);
        return BitConverter.ToUInt32(value);
    }
}
