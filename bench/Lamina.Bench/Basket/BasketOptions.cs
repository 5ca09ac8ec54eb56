namespace Lamina.Bench.Basket;

/// <summary>What the command line asks of the basket.</summary>
internal sealed record BasketOptions
{
    /// <summary>How often everything is run. The medians are reported.</summary>
    public int Runs { get; init; } = 3;

    /// <summary>Members to run, or empty for all.</summary>
    public IReadOnlyList<string> Only { get; init; } = [];

    /// <summary>The accelerator to measure.</summary>
    public string Accelerator { get; init; } = "translator";

    /// <summary>The <c>lamina</c> program to measure, or null: the library, in a process of the benchmark.</summary>
    public string? Program { get; init; }

    /// <summary>Whether QEMU's TCG is measured too.</summary>
    public bool Peer { get; init; } = true;

    /// <summary>Where the figures go as JSON, or null.</summary>
    public string? Json { get; init; }
}
