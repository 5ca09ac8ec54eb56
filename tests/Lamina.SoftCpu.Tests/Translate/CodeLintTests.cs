namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Walks the code cache after programs have run.</summary>
public sealed class CodeLintTests
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
}
