using System.Diagnostics;
using System.Globalization;

namespace Lamina.Fuzz;

/// <summary>
/// Plays rounds of a target, each from a seed of its own: first those of the corpus, then new ones for a while. <c>LAMINA_FUZZ_SECONDS</c> makes that longer, <c>LAMINA_FUZZ_SEED</c> plays one round
/// alone; whatever goes wrong names its seed.
/// </summary>
internal static class FuzzLoop
{
    private const double DefaultSeconds = 1.5;
    private const int Pieces = 60;
    private static readonly TimeSpan Piece = TimeSpan.FromSeconds(1);

    /// <summary>Plays.</summary>
    /// <param name="target">The target's name, for the corpus.</param>
    /// <param name="play">Plays one round.</param>
    public static void Run(string target, Action<Random> play)
    {
        if (int.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SEED"), CultureInfo.InvariantCulture, out int only))
        {
            Play(target, only, play);
            return;
        }

        foreach (int seed in ReadCorpus(target))
        {
            Play(target, seed, play);
        }

        double seconds = double.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ_SECONDS"), CultureInfo.InvariantCulture, out double asked) ? asked : DefaultSeconds;
        int first = Random.Shared.Next(int.MaxValue / 2);
        long began = Stopwatch.GetTimestamp();
        int rounds = 0;
        do
        {
            Play(target, first + rounds++, play);
        }
        while (Stopwatch.GetElapsedTime(began).TotalSeconds < seconds);
        TestContext.Current.SendDiagnosticMessage($"{target}: {rounds} rounds from LAMINA_FUZZ_SEED={first}");
    }

    // On a thread of its own, so that a round without end is noticed.
    private static void Play(string target, int seed, Action<Random> play)
    {
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                play(new Random(seed));
            }
            catch (Exception e)
            {
                failure = e;
            }
        })
        { IsBackground = true };
        thread.Start();

        // In pieces, so that time for which the process or its host was stopped does not count.
        for (int waited = 0; !thread.Join(Piece); waited++)
        {
            Assert.True(waited < Pieces, $"{target}: the round LAMINA_FUZZ_SEED={seed} does not end.");
        }

        Assert.True(failure == null, $"{target}: the round LAMINA_FUZZ_SEED={seed} failed: {failure}");
    }

    private static IEnumerable<int> ReadCorpus(string target) => File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Corpus", "seeds.txt"))
        .Select(static l => l.Split(' ', 3)).Where(w => w.Length >= 2 && w[0] == target).Select(static w => int.Parse(w[1], CultureInfo.InvariantCulture));
}
