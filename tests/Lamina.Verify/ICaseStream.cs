namespace Lamina.Verify;

/// <summary>Cases of one kind, one at a time, for <see cref="CaseLoop"/>.</summary>
internal interface ICaseStream
{
    /// <summary>After so many cases the time, and signals, are looked at.</summary>
    int CasesBetweenLooks { get; }

    /// <summary>Makes the case that a seed and a number determine the current one.</summary>
    void Draw(ulong seed, ulong number);

    /// <summary>The current case as a test vector.</summary>
    string Describe();

    /// <summary>Compares the current case, and counts it if it was judged.</summary>
    /// <returns>What differs, or null.</returns>
    string? Compare(Coverage coverage);

    /// <summary>Makes the current case, which differs, as small as it can be.</summary>
    /// <param name="source">Its seed and number.</param>
    /// <param name="difference">What differs.</param>
    /// <returns>A test vector.</returns>
    string Shrink(string source, string difference);

    /// <summary>What the summary says behind the number of cases, and in further lines.</summary>
    string Summarize(Coverage coverage, int failures);
}
