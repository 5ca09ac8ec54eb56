using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>REP MOVS and REP STOS by the host's own instructions, against the interpreter's.</summary>
public sealed class StringTranslationTests
{
    private const int Rounds = 60;
    private const int Repetitions = 8;

    // Lengths that end in, at, and behind a page's end; sources before, behind and over their targets; elements over a page's end; downwards.
    [Theory]
    [InlineData(new byte[] { 0xf3, 0xa4 })]
    [InlineData(new byte[] { 0xf3, 0x66, 0xa5 })]
    [InlineData(new byte[] { 0xf3, 0xa5 })]
    [InlineData(new byte[] { 0xf3, 0x48, 0xa5 })]
    [InlineData(new byte[] { 0xf2, 0xa4 })]
    [InlineData(new byte[] { 0xf3, 0xaa })]
    [InlineData(new byte[] { 0x66, 0xf3, 0xab })]
    [InlineData(new byte[] { 0xf3, 0xab })]
    [InlineData(new byte[] { 0xf3, 0x48, 0xab })]
    [InlineData(new byte[] { 0x67, 0xf3, 0xa4 })]
    [InlineData(new byte[] { 0x64, 0xf3, 0xa4 })]
    public void MovesAsTheInterpreterDoes(byte[] instruction)
    {
        using Comparison machines = new();
        Random random = new(instruction.Length + instruction[^1]);

        // Often enough to be translated, with flags around it that must survive:
        // MOV R12D, 8; again: MOV RCX, R8; MOV RDI, R9; MOV RSI, R13; CMP RAX, RBX; REP ...; ADC RDX, RDI; ADD R9, 37; ADD R13, 21; DEC R12D; JNE again; HLT
        byte[] body =
        [
            0x4c, 0x89, 0xc1, 0x4c, 0x89, 0xcf, 0x4c, 0x89, 0xee, 0x48, 0x39, 0xd8, .. instruction, 0x48, 0x11, 0xfa, 0x49, 0x83, 0xc1, 37, 0x49, 0x83, 0xc5, 21, 0x41, 0xff, 0xcc,
        ];
        byte[] code = [0x41, 0xbc, Repetitions, 0, 0, 0, .. body, 0x75, (byte)-(body.Length + 2), 0xf4];
        for (int round = 0; round < Rounds; round++)
        {
            StartState start = Programs.At(Map.Code);
            bool down = round % 8 == 7;
            start.Flags = down ? Flags.Direction : 0;
            start.Registers[0] = (ulong)random.NextInt64();
            start.Registers[8] = (ulong)random.Next(round % 3 == 0 ? 12 : 700);
            start.Registers[3] = (ulong)random.NextInt64();
            start.Registers[13] = Map.Data + (ulong)random.Next(down ? 0x3000 : 0, 0x2000 + (down ? 0x2000 : 0));
            start.Registers[9] = round % 4 == 0 ? start.Registers[13] + (ulong)random.Next(-20, 20) : Map.Data + (ulong)random.Next(down ? 0x3000 : 0x800, 0x4800);
            Assert.Null(machines.Run(code, start, round));
        }

        bool plain = instruction[0] is not (0x64 or 0x67);
        ulong assisted = machines.Translator.Processors[0].Assisted;
        Assert.True(!plain || assisted < Rounds * Repetitions / 2, $"{assisted} of {Rounds * Repetitions} interpreted");
    }

    // The same memory by two addresses whose pages displace each other in the first level of the TLB.
    [Theory]
    [InlineData(new byte[] { 0xf3, 0xa4 })]
    [InlineData(new byte[] { 0xf3, 0x48, 0xa5 })]
    [InlineData(new byte[] { 0xf3, 0xaa })]
    [InlineData(new byte[] { 0xf3, 0x48, 0xab })]
    public void FindsPagesBehindTheFirstLevel(byte[] instruction)
    {
        using Comparison machines = new();

        // again: MOV RCX, R8; MOV RDI, R9; MOV RSI, R13; REP ...; XOR R9, R14; XOR R13, R14; DEC R12D; JNE again; HLT
        byte[] body = [0x4c, 0x89, 0xc1, 0x4c, 0x89, 0xcf, 0x4c, 0x89, 0xee, .. instruction, 0x4d, 0x31, 0xf1, 0x4d, 0x31, 0xf5, 0x41, 0xff, 0xcc];
        byte[] code = [.. body, 0x75, (byte)-(body.Length + 2), 0xf4];
        StartState start = Programs.At(Map.Code);
        start.Registers[8] = 100;
        start.Registers[9] = Map.Data + 0x3f80;
        start.Registers[12] = 200;
        start.Registers[13] = Map.Data + 0x0fc0;
        start.Registers[14] = Map.High;
        Assert.Null(machines.Run(code, start, 1));
        ulong assisted = machines.Translator.Processors[0].Assisted;
        Assert.True(assisted < 20, $"{assisted} of 200 interpreted");
    }
}
