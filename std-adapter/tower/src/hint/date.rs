//! Dates of HTTP.

/// How many days of a year come before each month.
const BEFORE: [(&str, u64); 12] = [
    ("Jan", 0),
    ("Feb", 31),
    ("Mar", 59),
    ("Apr", 90),
    ("May", 120),
    ("Jun", 151),
    ("Jul", 181),
    ("Aug", 212),
    ("Sep", 243),
    ("Oct", 273),
    ("Nov", 304),
    ("Dec", 334),
];

/// The seconds from 1970 until such a date, `Sun, 06 Nov 1994 08:49:37 GMT`. Of the other forms that RFC 9110 knows, which
/// nobody sends any more, none.
pub(super) fn seconds(date: &str) -> Option<u64> {
    let (_weekday, rest) = date.split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year) = (number(words.next()?)?, words.next()?, number(words.next()?)?);
    let mut time = words.next()?.split(':').map(number);
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    if time.next().is_some() || words.next() != Some("GMT") || words.next().is_some() || !(1970..=9999).contains(&year)
    {
        return None;
    }
    let index = BEFORE.iter().position(|(name, _)| *name == month)?;
    let before = BEFORE.get(index)?.1;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leap_day = u64::from(is_leap && index > 1);
    let days = days_before(year).saturating_sub(days_before(1970)).saturating_add(before).saturating_add(leap_day);
    let days = days.saturating_add(day.checked_sub(1)?);
    let minutes = days.saturating_mul(24).saturating_add(hours).saturating_mul(60).saturating_add(minutes);
    Some(minutes.saturating_mul(60).saturating_add(seconds))
}

/// The days before the first of January of a year.
const fn days_before(year: u64) -> u64 {
    let years = year.saturating_sub(1);
    let leap_days = (years / 4).saturating_sub(years / 100).saturating_add(years / 400);
    years.saturating_mul(365).saturating_add(leap_days)
}

fn number(text: &str) -> Option<u64> {
    (text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}
