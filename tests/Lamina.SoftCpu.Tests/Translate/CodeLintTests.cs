using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Walks the code cache after programs have run.</summary>
public sealed unsafe class CodeLintTests
{
    [Fact]
    public void TranslatedCodeReachesTheGuestsMemoryAndNothingElse()
    {
        using Comparison machines = new();
        long instructions = 0;
        long accesses = 0;
        for (int n = 0; n < 400; n++)
        {
            Assert.Null(machines.Run(new RandomProgram(1 + n)));
            if (n % 100 == 99)
            {
                CodeLint lint = new(machines.Translator.Partition.Code!);
                lint.Check();
                instructions = lint.Instructions;
                accesses = lint.Accesses;
            }
        }

        Assert.True(instructions > 10_000, $"{instructions}");
        Assert.True(accesses > 1000, $"{accesses}");
    }

    [Fact]
    public void SoDoesSharedCode()
    {
        using Comparison machines = new();
        int shared = 0;
        for (int n = 0; n < 100; n++)
        {
            RandomProgram program = new(1000 + n);
            bool again = false;
            foreach (ulong alias in (ulong[])[0, 0x10_0000, Map.High, 0])
            {
                Assert.Null(machines.Run(program, alias, again));
                again = true;
            }
        }

        CodeLint lint = new(machines.Translator.Partition.Code!);
        lint.Check();
        foreach (nint t in machines.Translator.Partition.Code!.Translations)
        {
            shared += ((Translation*)t)->IsShared ? 1 : 0;
        }

        Assert.True(shared > 100, $"{shared} of {machines.Translator.Partition.Code!.Translations.Length}");
        Assert.True(lint.Guards > 100, $"{lint.Guards}");
    }
}
