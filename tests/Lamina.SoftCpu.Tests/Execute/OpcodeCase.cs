namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>An instruction without a ModRM byte, with random prefixes, immediates and registers.</summary>
internal sealed class OpcodeCase(Random random, int codeSize, ulong buffer, ulong slot)
{
    private readonly IntegerCase _case = new(random, codeSize, buffer, slot);

    public ref IntegerState State => ref _case.State;

    public byte[] Code { get; private set; } = [];

    /// <summary>Has an address-size prefix.</summary>
    public bool IsSmall { get; private set; }

    /// <summary>Makes one.</summary>
    /// <param name="opcode">Map in bits 11:8.</param>
    /// <param name="immediate">'n' none, 'b' byte, 'i' byte but not zero, 'z' up to 32 bits, 'v' up to 64 bits, 'o' offset, 'e' of ENTER.</param>
    /// <param name="word">An operand-size prefix is permitted.</param>
    /// <param name="small">An address-size prefix is permitted in 64-bit code.</param>
    /// <param name="prefix">A prefix, or 0.</param>
    public void Make(int opcode, char immediate, bool word, bool small, byte prefix)
    {
        _case.Fill();
        List<byte> code = [];
        bool isWord = word && random.Next(4) == 0;
        int rex = codeSize == 8 && random.Next(3) != 0 ? 0x40 | random.Next(16) : 0;
        bool pushesRsp = opcode == 0x54;
        rex = pushesRsp && isWord ? rex & 0x4e : rex;
        IsSmall = small && codeSize == 8 && random.Next(4) == 0;
        if (isWord)
        {
            code.Add(0x66);
        }

        if (IsSmall)
        {
            code.Add(0x67);
        }

        if (prefix != 0)
        {
            code.Insert(random.Next(code.Count + 1), prefix);
        }

        if (rex != 0)
        {
            code.Add((byte)rex);
        }

        if (opcode >= 0x100)
        {
            code.Add(0x0f);
        }

        code.Add((byte)opcode);
        bool wide = (rex & 8) != 0;
        switch (immediate)
        {
            case 'b':
                code.Add((byte)random.Next(256));
                break;
            case 'i':
                code.Add((byte)random.Next(1, 256));
                break;
            case 'z':
                Append(code, _case.Value(), isWord && !wide ? 2 : 4);
                break;
            case 'v':
                Append(code, _case.Value(), wide ? 8 : isWord ? 2 : 4);
                break;
            case 'o':
                Append(code, buffer + (ulong)random.Next(IntegerMachine.BufferSize - 8), codeSize);
                break;
            case 'e':
                Append(code, (ulong)random.Next(0x200), 2);
                code.Add((byte)(random.Next(3) == 0 ? random.Next(256) : random.Next(4)));
                break;
        }

        Code = [.. code];
    }

    private static void Append(List<byte> code, ulong value, int size)
    {
        for (int n = 0; n < size; n++)
        {
            code.Add((byte)(value >> (8 * n)));
        }
    }
}
