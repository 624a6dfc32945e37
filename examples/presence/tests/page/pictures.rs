//! The pictures of the README: `cargo test -p headwater-presence-example -- --ignored pictures`. With
//! `HEADWATER_ALL_PICTURES` set also others, to look at after a change of the page.

use crate::browser::{Browser, Tab};
use crate::instance::Instance;
use crate::page::come_in;
use headwater_servers::Server;

const PEOPLE: [(&str, &str, &str); 6] = [
    ("Grace Hopper", "laptop", "east"),
    ("Alan Turing", "desktop", "west"),
    ("Barbara Liskov", "tablet", "east"),
    ("Edsger Dijkstra", "laptop", "west"),
    ("Grace Hopper", "phone", "west"),
    ("Leslie Lamport", "phone", "east"),
];

#[tokio::test]
#[ignore = "writes the README's pictures"]
async fn pictures_of_the_page() {
    let redis = Server::start();
    let short = ["--linger", "100ms", "--ttl", "2s"];
    let (east, mut west) =
        (Instance::sharing(&redis, "east", &short), Instance::sharing(&redis, "west", &short));
    let mut browser = Browser::start().await;
    let ada = browser.open(&east.url).await;
    come_in(&mut browser, &ada, "Ada Lovelace", "laptop").await;
    let mut others = Vec::new();
    for (name, device, instance) in PEOPLE {
        let url = if instance == "east" { &east.url } else { &west.url };
        let tab = browser.open(url).await;
        come_in(&mut browser, &tab, name, device).await;
        others.push(tab);
    }
    browser.until(&ada, "devices.textContent === '7'").await;
    browser.close(others.remove(5)).await;
    browser.until(&ada, "devices.textContent === '6'").await;
    write(&mut browser, &ada, 1100, 760, false, "page-light").await;
    write(&mut browser, &ada, 390, 844, true, "page-phone-dark").await;
    if std::env::var_os("HEADWATER_ALL_PICTURES").is_none() {
        return;
    }
    write(&mut browser, &ada, 1100, 760, true, "page-dark").await;
    write(&mut browser, &ada, 390, 844, false, "page-phone-light").await;
    let stranger = browser.open(&east.url).await;
    browser.until(&stranger, "document.body.dataset.link === 'open'").await;
    write(&mut browser, &stranger, 390, 844, false, "page-phone-stranger").await;
    west.kill();
    browser.until(&ada, "devices.textContent === '3'").await;
    browser.until(&others[1], "!banner.hidden").await;
    write(&mut browser, &ada, 1100, 760, false, "page-expired").await;
    write(&mut browser, &others[1], 390, 844, false, "page-phone-lost").await;
    write(&mut browser, &others[1], 1100, 760, true, "page-lost-dark").await;
}

async fn write(b: &mut Browser, tab: &Tab, width: u32, height: u32, is_dark: bool, name: &str) {
    b.screen(tab, width, height, is_dark).await;
    // What comes and goes is animated.
    b.until(tab, "document.getAnimations().every((one) => one.effect.getTiming().iterations > 1)")
        .await;
    let file = format!("{}/{name}.png", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(file, b.picture(tab).await).expect("a place for the picture");
}
