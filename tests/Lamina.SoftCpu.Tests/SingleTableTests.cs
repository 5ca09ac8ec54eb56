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
        for (byte n = 0; n < addresses.Length; n++)
        {
            Add(addresses[n], n);
        }

        for (byte n = 0; n < addresses.Length; n++)
        {
            Assert.True(IsKept(addresses[n], n), $"The instruction at {addresses[n]:x} was forgotten, although its set has room for it.");
        }
    }

    [Fact]
    public void OneTooManyTakesThePlaceOfTheOldest()
    {
        ulong[] addresses = OfOneSet(SingleTable.WayCount + 1);
        for (byte n = 0; n < addresses.Length; n++)
        {
            Add(addresses[n], n);
        }

        for (byte n = 1; n < addresses.Length; n++)
        {
            Assert.True(IsKept(addresses[n], n), $"Instruction {n} of {addresses.Length} in one set was forgotten.");
        }

        Assert.False(IsKept(addresses[0], 0), "A set has more instructions than places.");
    }

    [Fact]
    public void TheSameBytesAreNotDecodedAgain()
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

    // Asked last: what is not kept has a place after it.
    private bool IsKept(ulong address, byte opcode)
    {
        byte* bytes = stackalloc byte[16];
        bytes[0] = opcode;
        return _table.Place(address, bytes, 16, 8).Matches(bytes, 16, 8);
    }

    private void Add(ulong address, byte opcode)
    {
        byte* bytes = stackalloc byte[16];
        bytes[0] = opcode;
        ref SingleInstruction single = ref _table.Place(address, bytes, 16, 8);
        single.Instruction->Length = 2;
        single.Remember(bytes, 8);
    }
}
