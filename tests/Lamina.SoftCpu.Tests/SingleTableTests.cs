namespace Lamina.SoftCpu.Tests;

/// <summary>What is kept of instructions that are in no block.</summary>
public sealed unsafe class SingleTableTests : IDisposable
{
    private readonly SingleTable _table = new();

    public void Dispose() => _table.Dispose();

    [Fact]
    public void InstructionsOfOneSetAreAllKept()
    {
        ulong[] addresses = OfOneSet(SingleTable.WayCount);
        foreach (ulong address in addresses)
        {
            Add(address, (byte)address);
        }

        Assert.All(addresses, address =>
        {
            ref SingleInstruction single = ref _table.Find(address, out bool found);
            Assert.True(found && single.Rip == address, $"The instruction at {address:x} was forgotten, although its set has room for it.");
        });
    }

    [Fact]
    public void OneTooManyTakesThePlaceOfOne()
    {
        ulong[] addresses = OfOneSet(SingleTable.WayCount + 1);
        foreach (ulong address in addresses)
        {
            Add(address, (byte)address);
        }

        int kept = addresses.Count(IsFound);
        Assert.True(kept == SingleTable.WayCount && IsFound(addresses[^1]), $"Of {addresses.Length} instructions of one set, {kept} are kept.");
    }

    [Fact]
    public void AnInstructionThatIsFoundAgainStaysInItsPlace()
    {
        ulong[] addresses = OfOneSet(2);
        Add(addresses[0], 0x90);
        Add(addresses[1], 0xcc);
        byte* other = stackalloc byte[16];
        ref SingleInstruction again = ref _table.Place(addresses[0], other, 16, 8);
        Assert.True(again.Rip == addresses[0], "What lies at an address now would have two places.");
    }

    [Fact]
    public void WhatBelongsNowhereIsFoundByItsBytes()
    {
        ulong[] addresses = OfOneSet(2);
        byte* bytes = stackalloc byte[16];
        bytes[0] = 0xcc;
        ref SingleInstruction first = ref _table.Place(addresses[0], bytes, 16, 2);
        first.Instruction->Length = 1;
        first.Remember(bytes, 2);
        ref SingleInstruction second = ref _table.Place(addresses[1], bytes, 16, 2);
        Assert.True(second.Matches(bytes, 16, 2), "The same bytes in the same set are decoded anew.");
        ref SingleInstruction wider = ref _table.Place(addresses[1], bytes, 16, 4);
        Assert.False(wider.Matches(bytes, 16, 4), "An instruction of 16-bit code serves for 32-bit code.");
    }

    private static ulong[] OfOneSet(int count)
    {
        List<ulong> addresses = [];
        for (ulong address = 0xffff_ffff_8100_0ffe; addresses.Count < count; address += 0x1000)
        {
            if (SingleTable.SetOf(address) == 7)
            {
                addresses.Add(address);
            }
        }

        return [.. addresses];
    }

    private bool IsFound(ulong address)
    {
        ref SingleInstruction single = ref _table.Find(address, out bool found);
        return found && single.Rip == address;
    }

    private void Add(ulong address, byte opcode)
    {
        byte* bytes = stackalloc byte[16];
        bytes[0] = opcode;
        ref SingleInstruction single = ref _table.Place(address, bytes, 16, 8);
        single.Instruction->Length = 2;
        single.Remember(bytes, 8);
        single.Rip = address;
    }
}
